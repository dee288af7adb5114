"""Codebook statistics against numbers worked out by hand."""

import math

import numpy as np
import pytest
from codax.metrics import codebooks
from codax.metrics.signals import MetricError


def test_counts():
    codes = np.array([[[0, 3], [1, 3], [1, 0]]], np.int32)  # [batch, frames, quantizers]
    np.testing.assert_array_equal(codebooks.count_codes(codes, 4), [[1, 2, 0, 0], [1, 0, 0, 2]])


def test_codes_outside_the_codebook():
    with pytest.raises(MetricError, match="codebook of 4"):
        codebooks.count_codes(np.array([[4]]), 4)
    with pytest.raises(MetricError, match="-1"):
        codebooks.count_codes(np.array([[-1]]), 4)


def test_entropy_by_hand():
    assert codebooks.entropy_bits([4, 2, 1, 1]) == pytest.approx(1.75)
    assert codebooks.entropy_bits([5, 0, 0]) == 0
    assert codebooks.entropy_bits([1] * 8) == pytest.approx(3)
    assert codebooks.entropy_bits([0, 0]) == 0


def test_miller_madow():
    plug_in = codebooks.entropy_bits([40, 20, 10, 10])
    corrected = codebooks.entropy_bits([40, 20, 10, 10], miller_madow=True)
    assert corrected - plug_in == pytest.approx(3 / (2 * 80 * math.log(2)))
    assert codebooks.entropy_bits([1] * 8, miller_madow=True) == 3  # never above log2(entries)


def test_miller_madow_removes_most_of_the_bias():
    draws = np.bincount(np.random.default_rng(0).integers(0, 1024, 20_000), minlength=1024)
    plug_in, corrected = (codebooks.entropy_bits(draws, miller_madow=m) for m in (False, True))
    assert 10 - plug_in == pytest.approx(1023 / (2 * 20_000 * math.log(2)), rel=0.1)
    assert abs(10 - corrected) < 0.1 * (10 - plug_in)


def test_codebook_use():
    use = codebooks.codebook_use(np.array([[4, 2, 1, 1], [8, 0, 0, 0]]), frame_rate=50.0)
    assert use.used == (4, 1)
    assert use.use == (1.0, 0.25)
    assert use.entropy == pytest.approx((1.75, 0))
    assert use.perplexity == pytest.approx((2**1.75, 1))
    assert use.frames == 8
    assert use.nominal_bps == 200  # 50 Hz x 2 quantizers x 2 bits
    assert use.entropy_bps == pytest.approx(87.5)
    assert use.efficiency == pytest.approx(0.4375)


def test_nothing_counted():
    with pytest.raises(MetricError, match="no codes"):
        codebooks.codebook_use(np.zeros((2, 4), int), 50.0)
