"""Searches the largest batch that fits, with few attempts, because each one compiles a program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from codax.planning.compiling import Compiled, TooBig

ATTEMPTS = 10
FINENESS = 16  # stop when fitting and rejected batch sizes differ by at most this fraction
MOST_GROWTH = 8


@dataclasses.dataclass(frozen=True)
class Largest:
    """Result of the search, in examples per device."""

    fits: int  # 0 = not even the smallest batch fits
    refused: int | None  # smallest larger batch that does not fit; None = none was rejected


def largest(attempt: Callable[[int], Compiled | TooBig], start: int, capacity: float, *, multiple: int = 1) -> Largest:
    """Finds the largest batch that fits.

    Memory is nearly affine in the batch size, so attempts follow the line through the known points.

    Args:
      attempt: compiles for a number of examples; called once for each number.
      start: first number to try.
      capacity: bytes of a device; replaced by the compiler's figure as soon as it rejects a batch.
      multiple: batch sizes are multiples of it.
    """
    fits, refused, refusals = 0, None, 0
    known: list[tuple[int, float]] = []  # batch sizes that fit, and their bytes
    n = max(multiple, start // multiple * multiple)
    for _ in range(ATTEMPTS):
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
            guess = refused - max(multiple, refused // FINENESS)  # the extrapolation was nearly right
        elif refused is not None and refusals:
            guess = (fits + refused) / 2
        else:
            guess = _guess(known, capacity)
        high = refused - multiple if refused is not None else MOST_GROWTH * n
        n = max(fits + multiple, min(high, math.floor(guess / multiple) * multiple))
    return Largest(fits, refused)


def _guess(known: list[tuple[int, float]], capacity: float) -> float:
    """Batch size where the line through the last two points, or through zero and the only one, meets the capacity."""
    n, size = known[-1]
    if len(known) == 1:
        return n * capacity / size
    before, smaller = known[-2]
    per_example = (size - smaller) / (n - before)
    return n + (capacity - size) / per_example if per_example > 0 else MOST_GROWTH * n
