"""Means, pooled ratios and bootstrap intervals."""

import numpy as np
import pytest
from codax.evaluation.statistics import Interval, difference_interval, mean_interval, ratio_interval


def test_mean_and_missing_values():
    interval = mean_interval([1.0, None, 3.0, float("nan")])
    assert interval is not None
    assert (interval.mean, interval.n) == (2.0, 2)
    assert interval.low == 1
    assert interval.high == 3
    assert mean_interval([None]) is None
    assert mean_interval([]) is None


def test_one_value_has_no_width():
    assert mean_interval([2.5]) == Interval(2.5, 2.5, 2.5, 1, of=1)


def test_ratio_is_pooled():
    # 1 error in 1 word and 0 in 9: 10 %, not 50 %.
    interval = ratio_interval([1, 0], [1, 9])
    assert interval is not None
    assert interval.mean == pytest.approx(0.1)
    assert (interval.low, interval.high) == (0, 1)


def test_utterances_without_reference_words():
    assert ratio_interval([2, 0], [0, 0]) is None
    interval = ratio_interval([2, 1], [0, 4])  # insertions count, words do not
    assert interval is not None
    assert interval.mean == pytest.approx(0.75)
    assert np.isfinite([interval.low, interval.high]).all()


def test_seeded():
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(3).normal(size=400)
    interval = mean_interval(values, draws=4000)
    assert interval is not None
    expected = 2 * 1.96 * values.std() / np.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.08)


def test_coverage():
    rng = np.random.default_rng(4)
    covered = 0
    for seed in range(200):
        interval = mean_interval(rng.exponential(size=40), seed=seed, draws=300)
        assert interval is not None
        covered += interval.low <= 1 <= interval.high
    assert 0.87 <= covered / 200 <= 0.98


def test_differences_are_paired():
    """Utterances differ by far more than the systems do, which agree on all of them."""
    rng = np.random.default_rng(0)
    second = rng.normal(0, 10, 40)
    first = second + rng.normal(0.5, 0.1, 40)
    ones = np.ones(40)
    difference = difference_interval(first, second, ones, ones)
    assert difference is not None
    assert difference.mean == pytest.approx(0.5, abs=0.1)
    assert 0.4 < difference.low < difference.mean < difference.high < 0.6
    assert mean_interval(first).low < mean_interval(second).high  # their own intervals overlap
    # Pooled rates: 1 of 10 against 3 of 10.
    rates = difference_interval([1, 0], [3, 0], [1, 9], [1, 9])
    assert rates.mean == pytest.approx(-0.2)
    assert difference_interval([], [], [], []) is None
    assert difference_interval([1], [1], [0], [1]) is None
