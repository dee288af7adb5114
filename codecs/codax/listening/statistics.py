"""Statistics of ratings: summaries with t intervals, paired permutation tests, corrections for multiple tests."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.95
DRAWS = 10_000
BIMODAL_FROM = 5 / 9  # the coefficient of a uniform distribution


@dataclasses.dataclass(frozen=True)
class Summary:
    """Summary of the scores of one signal.

    Attributes:
      n: number of scores.
      median, q1, q3: quartiles (linear interpolation).
      mean: mean of the scores.
      low, high: 95 % t interval of the mean; None for fewer than two independent values.
      bootstrap_low, bootstrap_high: 95 % percentile interval of the mean, for scores that are not normal; None for
        fewer than two independent values.
      bimodality: Sarle's coefficient; None if it is not defined.
    """

    n: int
    median: float
    q1: float
    q3: float
    mean: float
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    bimodality: float | None

    @property
    def bimodal(self) -> bool:
        """Whether the scores suggest two groups of listeners, which one mean does not describe."""
        return self.bimodality is not None and self.bimodality > BIMODAL_FROM


def summarize(scores: Sequence[float], independent: Sequence[float] | None = None) -> Summary:
    """Summarizes scores.

    Args:
      scores: one or more.
      independent: values for the mean and its intervals if the scores depend on each other, such as one mean for each
        listener; None = the scores.
    """
    values = np.asarray(scores, np.float64)
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    parts = scores if independent is None else independent
    low, high = t_interval(parts) or (None, None)
    bootstrap_low, bootstrap_high = bootstrap_interval(parts) or (None, None)
    return Summary(
        n=len(values),
        median=float(median),
        q1=float(q1),
        q3=float(q3),
        mean=float(np.mean(parts)),
        low=low,
        high=high,
        bootstrap_low=bootstrap_low,
        bootstrap_high=bootstrap_high,
        bimodality=bimodality(scores),
    )


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean by Student's t; None for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    array = np.asarray(values, np.float64)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * float(array.std(ddof=1)) / math.sqrt(n)
    return float(array.mean()) - half, float(array.mean()) + half


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean by the percentiles of resampled means (Efron 1979); None for fewer than two values."""
    if len(values) < 2:
        return None
    rng = np.random.default_rng(0)
    interval = stats.bootstrap(
        (values,), np.mean, n_resamples=DRAWS, confidence_level=LEVEL, method="percentile", rng=rng
    ).confidence_interval
    return float(interval.low), float(interval.high)


def outliers(values: Sequence[float]) -> list[int]:
    """Returns the indices of values more than 1.5 interquartile ranges outside the quartiles (Tukey 1977)."""
    q1, q3 = np.quantile(values, [0.25, 0.75])
    reach = 1.5 * (q3 - q1)
    return [index for index, value in enumerate(values) if not q1 - reach <= value <= q3 + reach]


def bimodality(values: Sequence[float]) -> float | None:
    """Sarle's bimodality coefficient with finite-sample correction (SAS Institute 1990).

    It is (g^2 + 1) / (k + 3 (n - 1)^2 / ((n - 2)(n - 3))) with skewness g and excess kurtosis k, both corrected for
    bias, 5/9 for a uniform distribution, and None for fewer than four values, or if all values are equal.
    """
    n = len(values)
    if n < 4 or np.ptp(values) == 0:
        return None
    skewness = float(stats.skew(values, bias=False))
    kurtosis = float(stats.kurtosis(values, bias=False))
    return (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))


def permutation_test(differences: Sequence[float], *, seed: Sequence[int] | int = 0, draws: int = DRAWS) -> float:
    """Two-sided p-value of a sign-flip test that paired differences have mean 0.

    If there are at most `draws` flips, all 2^n are used; otherwise random ones, which include the observed signs
    (Phipson and Smyth 2010), so that p is never 0.

    Args:
      differences: one for each pair.
      seed: seed of the draws.
      draws: number of random flips.
    """
    if len(differences) < 2:
        return 1.0

    def statistic(flipped: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(flipped.sum(axis=axis)).round(9)  # equal sums may differ in their last bits

    result = stats.permutation_test(
        (np.asarray(differences, np.float64),),
        statistic,
        permutation_type="samples",  # for one sample, this flips signs
        alternative="greater",
        vectorized=True,
        n_resamples=draws,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values (Holm 1979), valid for any dependence."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return _unsorted(adjusted, order)


def hochberg(p_values: Sequence[float]) -> list[float]:
    """Step-up adjusted p-values (Hochberg 1988), as BS.1534-3 requires; never larger than Holm's."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum.accumulate(((len(p) - np.arange(len(p))) * p[order])[::-1])[::-1]
    return _unsorted(adjusted, order)


def _unsorted(adjusted: np.ndarray, order: np.ndarray) -> list[float]:
    out = np.empty(len(adjusted))
    out[order] = np.minimum(adjusted, 1.0)
    return out.tolist()


CORRECTIONS = {"hochberg": hochberg, "holm": holm}


def effect_size(differences: Sequence[float]) -> float | None:
    """Cohen's d of paired differences: mean / standard deviation; None for fewer than two, or if all are equal."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(np.mean(differences) / np.std(differences, ddof=1))


def detectable(differences: Sequence[float], *, power: float = 0.8) -> float | None:
    """Mean difference that a paired test at 5 % detects with probability `power`, given the variance of `differences`.

    It is (t(0.975) + t(power)) standard errors, the t approximation; None for fewer than two. If a test is not
    significant, smaller differences may still exist.
    """
    n = len(differences)
    if n < 2:
        return None
    quantiles = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) + stats.t.ppf(power, n - 1))
    return quantiles * float(np.std(differences, ddof=1)) / math.sqrt(n)


def binomial_p(correct: int, trials: int) -> float:
    """One-sided p-value: the probability of at least `correct` correct answers in `trials` guesses between two."""
    return sum(math.comb(trials, k) for k in range(correct, trials + 1)) / 2**trials
