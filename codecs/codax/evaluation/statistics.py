"""Means, pooled ratios and their bootstrap intervals over utterances.

Intervals are Efron's percentile bootstrap (1979): utterances are drawn with replacement, the statistic is computed for
each draw, and the interval covers the middle 95 % of its values. Draws are seeded, and systems with the same utterances
share them, so that the draws add no noise to differences between systems. Shares of trials have Wilson intervals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A statistic with its 95 % bootstrap interval.

    Attributes:
      n: utterances with a value.
      of: utterances of the evaluation.
      floored: utterances whose value is the metric's floor, because the decoded signal could not be measured.
    """

    mean: float
    low: float
    high: float
    n: int
    of: int = 0
    floored: int = 0

    @property
    def note(self) -> str:
        """Such as "12 of 13, 1 at the floor"; "" if every utterance was measured."""
        notes = [f"{self.n} of {self.of}"] if self.n < self.of else []
        return ", ".join([*notes, f"{self.floored} at the floor"] if self.floored else notes)

    def scaled(self, factor: float) -> Interval:
        return dataclasses.replace(self, mean=self.mean * factor, low=self.low * factor, high=self.high * factor)


def mean_interval(values: Sequence[float | None] | np.ndarray, *, seed: int = 0, draws: int = DRAWS) -> Interval | None:
    """Mean over utterances; None if no utterance has a value.

    Args:
      values: one per utterance; None and NaN are ignored.
      seed: seed of the draws.
      draws: number of bootstrap samples.
    """
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    return ratio_interval(numbers, np.ones(len(numbers)), seed=seed, draws=draws)


def ratio_interval(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval | None:
    """Sum of numerators / sum of denominators, as for word error rates and bits per second.

    Args:
      numerators: one per utterance; utterances with NaN are ignored.
      denominators: one per utterance.
      seed: seed of the draws.
      draws: number of bootstrap samples.

    Returns:
      The interval; None if the denominators add up to 0.
    """
    return _interval(_ratio, numerators, denominators, seed=seed, draws=draws)


def difference_interval(
    first: Sequence[float],
    second: Sequence[float],
    first_weights: Sequence[float],
    second_weights: Sequence[float],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval | None:
    """Ratio of the first system minus ratio of the second, over the same utterances, with the same draws for both.

    Args:
      first, second: numerators, one per utterance; utterances with NaN are ignored.
      first_weights, second_weights: denominators; ones give the difference of means.
      seed: seed of the draws.
      draws: number of bootstrap samples.

    Returns:
      The interval; None if the denominators of one system add up to 0.
    """

    def statistic(
        top: np.ndarray, other_top: np.ndarray, bottom: np.ndarray, other_bottom: np.ndarray, axis: int
    ) -> np.ndarray:
        return _ratio(top, bottom, axis) - _ratio(other_top, other_bottom, axis)

    return _interval(statistic, first, second, first_weights, second_weights, seed=seed, draws=draws)


def wilson_interval(hits: int, of: int) -> Interval:
    """A share of independent trials, at least one, with Wilson's score interval (1927), which holds at 0 and 1 too."""
    share, z = hits / of, 1.959964  # of the normal distribution, for `LEVEL`
    centre, scale = share + z * z / (2 * of), 1 + z * z / of
    half = z * math.sqrt(share * (1 - share) / of + (z / (2 * of)) ** 2)
    return Interval(share, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale), of, of)


def _ratio(top: np.ndarray, bottom: np.ndarray, axis: int) -> np.ndarray:
    """Sum / sum; NaN if the denominators add up to 0."""
    sums = bottom.sum(axis=axis)
    return top.sum(axis=axis) / np.where(sums > 0, sums, np.nan)


def _interval(
    statistic: Callable[..., np.ndarray], *samples: Sequence[float] | np.ndarray, seed: int, draws: int
) -> Interval | None:
    """A statistic of paired samples, which have one value per utterance, without NaN; None if it is not finite."""
    complete = np.stack([np.asarray(sample, np.float64) for sample in samples])
    arrays = list(complete[:, np.isfinite(complete).all(axis=0)])
    count = len(arrays[0])
    estimate = float(statistic(*arrays, axis=0)) if count else math.nan
    if not math.isfinite(estimate):
        return None
    # Not scipy.stats.bootstrap: it rejects samples of one, and a single NaN draw (utterances without reference words)
    # makes its interval NaN.
    chosen = np.random.default_rng(seed).integers(0, count, (draws, count))
    drawn = statistic(*(array[chosen] for array in arrays), axis=1)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high), count, complete.shape[1])
