"""The registry of layouts, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from codax.errors import CodaxError
from codax.tokens import delays, sequences
from codax.tokens.arrays import Array


class Layout(NamedTuple):
    """A layout of codes and its inverse.

    Attributes:
      apply: maps codes [..., frames, quantizers] to tokens; takes the layout's options.
      invert: maps tokens and the number of quantizers to the codes; takes the same options, but for `fill`.
      parallel: whether a step has a token of every level, [..., steps, quantizers], and `apply` takes `fill`; if not,
        tokens are [..., steps].
    """

    apply: Callable[..., Array]
    invert: Callable[..., Array]
    parallel: bool = False


LAYOUTS: dict[str, Layout] = {
    "flat": Layout(sequences.flat, sequences.from_flat),
    "by_level": Layout(sequences.by_level, sequences.from_by_level),
    "coarse_fine": Layout(sequences.coarse_fine, sequences.from_coarse_fine),
    "delay": Layout(delays.delay, delays.from_delay, parallel=True),
    "acoustic_delay": Layout(delays.acoustic_delay, delays.from_acoustic_delay, parallel=True),
}


def layout(name: str) -> Layout:
    """Returns a layout by name. Raises CodaxError."""
    if name not in LAYOUTS:
        raise CodaxError(f"unknown layout {name!r}: expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
