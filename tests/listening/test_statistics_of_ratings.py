"""Small cases that can be worked out by hand."""

import numpy as np
import pytest
from codax.listening import statistics


def test_all_flips():
    # Sums over the 8 flips of (1, 2, 3): +-6, +-4, +-2, 0, 0: two of eight are as large as 6.
    assert statistics.permutation_test([1, 2, 3]) == 2 / 8
    # (2, 2, -1): sum 3; of the flips +-5, +-3, +-1, +-1 four reach 3, -3 included.
    assert statistics.permutation_test([2, 2, -1]) == 4 / 8
    assert statistics.permutation_test([0, 0]) == 1.0
    assert statistics.permutation_test([]) == 1.0


def test_ties_of_inexact_sums_count():
    assert statistics.permutation_test([0.1, 0.2, 0.3]) == 2 / 8


def test_random_flips():
    values = np.random.default_rng(1).normal(0.5, 1.0, 20).tolist()
    exact = statistics.permutation_test(values[:12])
    drawn = statistics.permutation_test(values[:12], draws=4000, seed=2)
    assert drawn == pytest.approx(exact, abs=0.02)
    assert statistics.permutation_test(values, seed=5) == statistics.permutation_test(values, seed=5)
    assert statistics.permutation_test([1.0] * 20) == 1 / 10_001  # never 0


def test_corrections():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04.
    p = [0.03, 0.01, 0.04, 0.02]
    assert statistics.holm(p) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.hochberg(p) == pytest.approx([0.04, 0.04, 0.04, 0.04])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.hochberg([0.9, 0.8]) == pytest.approx([0.9, 0.9])


def test_t_interval():
    # mean 2, deviation 1, t(0.975, 2) = 4.3027: half width 4.3027 / sqrt(3)
    assert statistics.t_interval([1, 2, 3]) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert statistics.t_interval([1]) is None


def test_summary():
    summary = statistics.summarize([0, 10, 20, 30, 100])
    assert (summary.n, summary.median, summary.q1, summary.q3, summary.mean) == (5, 20, 10, 30, 32)


def test_bimodality():
    # Two points, half and half: skewness 0; excess kurtosis of 2 x 2 values, bias-corrected, is -6.
    assert statistics.bimodality([0, 0, 1, 1]) == pytest.approx(1 / (-6 + 3 * 9 / 2))
    assert statistics.summarize([10] * 10 + [90] * 10).bimodal
    assert not statistics.summarize(np.random.default_rng(0).normal(50, 10, 100).tolist()).bimodal
    assert statistics.bimodality([5, 5, 5, 5]) is None
    assert statistics.bimodality([1, 2, 3]) is None


def test_binomial():
    assert statistics.binomial_p(3, 3) == 1 / 8
    assert statistics.binomial_p(12, 16) == pytest.approx(2517 / 65536)
    assert statistics.binomial_p(0, 5) == 1.0


def test_effect_size():
    assert statistics.effect_size([1, 2, 3]) == pytest.approx(2.0)
    assert statistics.effect_size([1, 1]) is None
