"""Anchors meet the mask of BS.1534-3 and are aligned with the reference."""

import numpy as np
import pytest
from codax.baselines.anchors import EDGES, anchor, anchor_filter
from codax.errors import CodaxError
from scipy import signal

RATES = [16_000, 24_000, 44_100, 48_000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", sorted(EDGES))
def test_mask(name, rate):
    edge = EDGES[name]
    frequencies = np.linspace(0, rate / 2, 20_001)
    _, response = signal.freqz(anchor_filter(name, rate), worN=frequencies, fs=rate)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(decibels[frequencies <= edge]).max() <= 0.1
    assert decibels[frequencies >= edge + 500].max() <= -25
    assert decibels[frequencies >= edge + 1000].max() <= -50


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", sorted(EDGES))
@pytest.mark.parametrize("length", [50, 20_000])  # shorter than the filter, and longer
def test_no_delay(name, rate, length):
    noise = np.random.default_rng(0).standard_normal((length, 2))
    low = anchor(name, noise, rate)
    assert low.shape == noise.shape
    assert low.dtype == np.float32
    for channel in range(2):
        correlation = signal.correlate(low[:, channel], noise[:, channel])
        assert np.argmax(correlation) == length - 1


def test_pass_band_goes_through_unchanged():
    time = np.arange(24_000) / 24_000
    tone = np.sin(2 * np.pi * 1000 * time)[:, None]
    inner = slice(500, -500)
    np.testing.assert_allclose(anchor("anchor35", tone, 24_000)[inner], tone[inner], atol=5e-4)


def test_rate_too_low():
    with pytest.raises(CodaxError, match=r"15000 Hz is too low for the 7 kHz anchor, which needs more than 15000 Hz"):
        anchor_filter("anchor70", 15_000)
    anchor_filter("anchor35", 15_000)
