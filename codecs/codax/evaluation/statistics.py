"""Means, pooled ratios and their bootstrap intervals over utterances.

The interval is the percentile bootstrap of Efron (1979): utterances are drawn with replacement, the statistic is taken
anew, and the middle 95 % of the draws is reported. Draws are seeded, and systems measured on the same utterances share
them, so that differences between systems are not blurred by the draw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A statistic with its 95 % bootstrap interval over `n` utterances."""

    mean: float
    low: float
    high: float
    n: int

    def scaled(self, factor: float) -> Interval:
        return Interval(self.mean * factor, self.low * factor, self.high * factor, self.n)


def mean_interval(values: Sequence[float | None] | np.ndarray, *, seed: int = 0, draws: int = DRAWS) -> Interval | None:
    """Mean over utterances; None where no utterance has a value.

    Args:
      values: one per utterance; None and NaN are left out.
      seed: of the draws.
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
      numerators: one per utterance; NaN leaves the utterance out.
      denominators: one per utterance.
      seed: of the draws.
      draws: number of bootstrap samples.

    Returns:
      None where the denominators add up to nothing.
    """
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    kept = np.isfinite(top) & np.isfinite(bottom)
    top, bottom = top[kept], bottom[kept]
    if len(top) == 0 or bottom.sum() <= 0:
        return None
    estimate = float(top.sum() / bottom.sum())
    chosen = np.random.default_rng(seed).integers(0, len(top), (draws, len(top)))
    sums = bottom[chosen].sum(axis=1)
    # A draw of nothing but utterances without reference words has no rate.
    samples = top[chosen].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high), len(top))


def difference_interval(
    first: Sequence[float],
    second: Sequence[float],
    first_weights: Sequence[float],
    second_weights: Sequence[float],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval | None:
    """Ratio of the first minus ratio of the second, over the same utterances, which are drawn for both at once.

    Args:
      first, second: numerators, one per utterance.
      first_weights, second_weights: denominators; ones give the difference of means.
      seed: of the draws.
      draws: number of bootstrap samples.

    Returns:
      None where the denominators of one add up to nothing.
    """
    tops = np.asarray([first, second], np.float64)
    bottoms = np.asarray([first_weights, second_weights], np.float64)
    count = tops.shape[1]
    if count == 0 or bottoms.sum(axis=1).min() <= 0:
        return None
    rates = tops.sum(axis=1) / bottoms.sum(axis=1)
    chosen = np.random.default_rng(seed).integers(0, count, (draws, count))
    sums = bottoms[:, chosen].sum(axis=2)
    kept = (sums > 0).all(axis=0)
    samples = tops[:, chosen].sum(axis=2)[:, kept] / sums[:, kept]
    low, high = np.quantile(samples[0] - samples[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(rates[0] - rates[1]), float(low), float(high), count)
