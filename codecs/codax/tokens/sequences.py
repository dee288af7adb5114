"""Layouts with one token at a time: groups of levels in sequence, each interleaved by frame.

One group of all levels is the flat layout, a group for each level the layout by level, and two or three groups are the
stages of AudioLM (arXiv 2209.03143). A mask of the codes, bool [..., frames, quantizers], passes through the same
functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from codax.errors import CodaxError
from codax.tokens.arrays import Array, check_levels, checked, namespace


def flat(codes: Array) -> Array:
    """Interleaves levels by frame: [..., frames, quantizers] -> [..., frames * quantizers]."""
    return _grouped(codes, None)


def from_flat(tokens: Array, levels: int) -> Array:
    """Inverts `flat`: [..., frames * levels] -> [..., frames, levels]."""
    return _ungrouped(tokens, (levels,))


def by_level(codes: Array) -> Array:
    """Puts all frames of the first level before those of the second: [..., frames, quantizers] -> [..., steps]."""
    return _grouped(codes, (1,) * checked(codes, 2, "[..., frames, quantizers]").shape[-1])


def from_by_level(tokens: Array, levels: int) -> Array:
    """Inverts `by_level`: [..., levels * frames] -> [..., frames, levels]."""
    return _ungrouped(tokens, (1,) * levels)


def coarse_fine(codes: Array, groups: Sequence[int] = (1,)) -> Array:
    """Puts coarse levels before fine ones, as AudioLM does: each group interleaved by frame, one group after another.

    Args:
      codes: [..., frames, quantizers].
      groups: number of levels of each group, from the first; the other levels are the last group. `(1, 3)` gives the
        first level (semantic), three coarse levels, then the rest.

    Returns:
      [..., frames * quantizers].

    Raises:
      CodaxError: the groups have more levels than the codes.
    """
    return _grouped(codes, _completed(groups, checked(codes, 2, "[..., frames, quantizers]").shape[-1]))


def from_coarse_fine(tokens: Array, levels: int, groups: Sequence[int] = (1,)) -> Array:
    """Inverts `coarse_fine`: [..., frames * levels] -> [..., frames, levels]."""
    return _ungrouped(tokens, _completed(groups, levels))


def _completed(groups: Sequence[int], levels: int) -> tuple[int, ...]:
    rest = levels - sum(groups)
    if rest < 0 or min(groups, default=1) < 1:
        raise CodaxError(f"tokens: groups {list(groups)} do not divide {levels} quantizers")
    return (*groups, rest) if rest else tuple(groups)


def _grouped(codes: Array, groups: Sequence[int] | None) -> Array:
    codes = checked(codes, 2, "[..., frames, quantizers]")
    *batch, frames, levels = codes.shape
    bounds = [0, *itertools.accumulate(groups or (levels,))]
    parts = [codes[..., a:b].reshape(*batch, frames * (b - a)) for a, b in itertools.pairwise(bounds)]
    return namespace(codes).concat(parts, axis=-1)


def _ungrouped(tokens: Array, groups: Sequence[int]) -> Array:
    tokens = checked(tokens, 1, "[..., steps]")
    *batch, steps = tokens.shape
    levels = sum(groups)
    if levels < 1 or steps % levels:
        raise CodaxError(f"tokens: {steps} steps are not whole frames of {levels} quantizers")
    frames = steps // levels
    bounds = [0, *itertools.accumulate(frames * n for n in groups)]
    parts = [
        tokens[..., a:b].reshape(*batch, frames, n)
        for (a, b), n in zip(itertools.pairwise(bounds), groups, strict=True)
    ]
    codes = namespace(tokens).concat(parts, axis=-1)
    check_levels(codes, levels)
    return codes
