"""The largest batch that fits, found by trying: few tries, as each compiles a program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from codax.planning.compiling import Compiled, TooBig

FINENESS = 16  # the search ends when the last batch that fits and the first that does not are this close to each other
MOST_GROWTH = 8


@dataclasses.dataclass(frozen=True)
class Largest:
    """Examples on each device."""

    fits: int  # 0 = not even the smallest
    refused: int | None  # more than that, which does not fit; None = nothing larger was refused


def largest(
    attempt: Callable[[int], Compiled | TooBig], start: int, capacity: float, *, multiple: int = 1, most: int = 10
) -> Largest:
    """The largest batch that fits.

    Memory grows nearly in proportion to the batch, so tries follow the line through what is known.

    Args:
      attempt: compiles for a number of examples; called once for each.
      start: the first to try.
      capacity: bytes of a device; the compiler's own figure takes its place once it refuses something.
      multiple: batches are multiples of it.
      most: tries.
    """
    fits, refused, refusals = 0, None, 0
    known: list[tuple[int, float]] = []  # batches that fit, and their bytes
    n = max(multiple, start // multiple * multiple)
    for _ in range(most):
        result = attempt(n)
        if isinstance(result, Compiled):
            fits, refusals = n, 0
            known.append((n, result.memory.total))
        else:
            refused, refusals = n, refusals + 1
            capacity = result.available or capacity
        if refused is not None and refused - fits <= max(multiple, fits // FINENESS):
            break
        if isinstance(result, TooBig) and not fits:
            guess = min(n / 2, n * capacity / result.needed if result.needed else n)
        elif refused is not None and refusals == 1:
            guess = refused - max(multiple, refused // FINENESS)  # the line was nearly right
        elif refused is not None and refusals:
            guess = (fits + refused) / 2
        else:
            guess = _guess(known, capacity)
        high = refused - multiple if refused is not None else MOST_GROWTH * n
        n = max(fits + multiple, min(high, math.floor(guess / multiple) * multiple))
    return Largest(fits, refused)


def _guess(known: list[tuple[int, float]], capacity: float) -> float:
    """Where the line through the last two points, or through zero and the only one, meets the capacity."""
    n, size = known[-1]
    if len(known) == 1:
        return n * capacity / size
    before, smaller = known[-2]
    slope = (size - smaller) / (n - before)
    return n + (capacity - size) / slope if slope > 0 else MOST_GROWTH * n
