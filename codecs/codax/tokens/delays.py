"""Layouts with one token of every level in each step, for models that predict them in parallel; levels are shifted.

A mask of the codes, bool [..., frames, quantizers], passes through the same functions and is filled with false. In a
batch that is padded with `fill` too, every clip has the steps that it has alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codax.errors import CodaxError
from codax.tokens.arrays import Array, check_levels, checked, namespace
from codax.tokens.padding import PAD


def delay(codes: Array, *, fill: int = PAD) -> Array:
    """Shifts level q by q steps, MusicGen's delay pattern (arXiv 2306.05284, section 2.2).

    Args:
      codes: [..., frames, quantizers].
      fill: token of the steps in which a level has no code.

    Returns:
      [..., frames + quantizers - 1, quantizers].
    """
    return _shifted(codes, range(checked(codes, 2, "[..., frames, quantizers]").shape[-1]), fill)


def from_delay(tokens: Array, levels: int | None = None) -> Array:
    """Inverts `delay`: [..., frames + quantizers - 1, quantizers] -> [..., frames, quantizers].

    Raises:
      CodaxError: too few steps, or another number of levels.
    """
    return _unshifted(tokens, range(checked(tokens, 2, "[..., steps, quantizers]").shape[-1]), levels)


def acoustic_delay(codes: Array, *, frames: int = 1, fill: int = PAD) -> Array:
    """Shifts every level but the first, the semantic one, as Moshi does (arXiv 2410.00037, section 3.4).

    Args:
      codes: [..., frames, quantizers].
      frames: the delay of the acoustic levels; Moshi has 2 in pre-training and 1 afterwards.
      fill: token of the steps in which a level has no code.

    Returns:
      [..., frames of the codes + delay, quantizers].
    """
    return _shifted(codes, _acoustic(codes, frames), fill)


def from_acoustic_delay(tokens: Array, levels: int | None = None, *, frames: int = 1) -> Array:
    """Inverts `acoustic_delay`: [..., steps, quantizers] -> [..., steps - delay, quantizers].

    Raises:
      CodaxError: too few steps, or another number of levels.
    """
    return _unshifted(tokens, _acoustic(tokens, frames), levels)


def _acoustic(array: Array, frames: int) -> Sequence[int]:
    levels = checked(array, 2, "[..., steps, quantizers]").shape[-1]
    if frames < 0:
        raise CodaxError(f"tokens: a delay of {frames} frames is negative")
    return (0, *[frames] * (levels - 1))


def _shifted(codes: Array, delays: Sequence[int], fill: int) -> Array:
    codes = checked(codes, 2, "[..., frames, quantizers]")
    xp, last = namespace(codes), max(delays, default=0)
    if codes.dtype.kind == "b":
        fill = False
    elif not np.iinfo(codes.dtype).min <= fill <= np.iinfo(codes.dtype).max:
        raise CodaxError(f"tokens: {codes.dtype} cannot hold the fill {fill}")

    def filled(steps: int) -> Array:
        return xp.full((*codes.shape[:-2], steps), fill, dtype=codes.dtype)

    columns = [
        xp.concat([filled(late), codes[..., level], filled(last - late)], axis=-1) for level, late in enumerate(delays)
    ]
    return xp.stack(columns, axis=-1)


def _unshifted(tokens: Array, delays: Sequence[int], levels: int | None) -> Array:
    tokens = checked(tokens, 2, "[..., steps, quantizers]")
    check_levels(tokens, levels)
    frames = tokens.shape[-2] - max(delays, default=0)
    if frames < 0:
        raise CodaxError(f"tokens: {tokens.shape[-2]} steps are fewer than the delay of {max(delays)}")
    columns = [tokens[..., late : late + frames, level] for level, late in enumerate(delays)]
    return namespace(tokens).stack(columns, axis=-1)
