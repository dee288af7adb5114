"""The comb in pauses: combs of known level, noise, pauses found where they are, and signals without them."""

from __future__ import annotations

import numpy as np
import pytest
from codax.metrics import comb
from codax.metrics.signals import MetricError

RATE = 16_000
PAUSES = ((0, 8_000), (16_000, 32_000))


def speech(seed: int = 0, noise: float = 3e-4) -> np.ndarray:
    """Three seconds of loud noise with two pauses, in which there is noise of the given root mean square."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=3 * RATE) * 0.1
    for start, end in PAUSES:
        signal[start:end] = rng.normal(size=end - start) * noise
    return signal


def pulses(frame_rate: float, rms: float) -> np.ndarray:
    """A pattern that repeats in every frame, with equal power in all of its lines."""
    signal = np.zeros(3 * RATE)
    signal[np.round(np.arange(0, 3 * RATE, RATE / frame_rate)).astype(int)[:-1]] = 1
    return rms * signal / signal.std()


@pytest.mark.parametrize("frame_rate", [100.0, 50.0, 25.0, 12.5])
@pytest.mark.parametrize("ratio_db", [-3.0, 6.0, 15.0])
def test_a_comb_of_known_level(frame_rate, ratio_db):
    original = speech()
    coded = original + pulses(frame_rate, 3e-4 * 10 ** (ratio_db / 20))
    periods = max(comb.LEAST_PERIODS, round(0.16 * frame_rate))
    expected = 10 * np.log10(1 + 10 ** (ratio_db / 10) * periods / 1.5)
    assert comb.comb(original, coded, RATE, frame_rate) == pytest.approx(expected, abs=0.9)


def test_noise_gains_and_louder_passages_are_no_comb():
    original = speech()
    assert comb.comb(original, original, RATE, 100.0) == 0
    for noise in (1e-4, 1e-3, 1e-2):
        added = np.random.default_rng(1).normal(size=len(original)) * noise
        assert abs(comb.comb(original, original + added, RATE, 100.0)) < 0.6
    assert abs(comb.comb(original, 0.5 * original, RATE, 100.0)) < 0.05
    assert abs(comb.comb(original, np.zeros_like(original), RATE, 100.0)) < 0.6
    outside = pulses(100.0, 0.1)
    for start, end in PAUSES:
        outside[start:end] = 0
    assert comb.comb(original, original + outside, RATE, 100.0) == 0


def test_a_comb_below_the_rounding_to_16_bits_does_not_count():
    original = speech()
    coded = np.where(np.abs(original) > 0.01, original, 0)
    assert abs(comb.comb(original, coded + pulses(100.0, 1e-7), RATE, 100.0)) < 1


def test_a_tone_that_the_original_has_is_not_counted():
    hum = 1e-3 * np.sin(2 * np.pi * 100 * np.arange(3 * RATE) / RATE)
    original = speech() + hum
    assert abs(comb.comb(original, original + speech(1) * 1e-3, RATE, 100.0)) < 0.3


def test_pauses_are_found_where_they_are():
    margin = 320
    assert comb.pauses(speech(), RATE) == [(start + margin, end - margin) for start, end in PAUSES]
    digital = speech()
    digital[16_000:24_000] = 0  # not the noise of a room
    assert comb.pauses(digital, RATE) == [(320, 7_680), (24_320, 31_680)]
    assert comb.pauses(speech()[:100], RATE) == []


@pytest.mark.parametrize(
    ("signal", "frame_rate", "reason"),
    [
        (speech(noise=0.05), 100.0, "the original has no pause of 0.16 s"),
        (speech()[:8_500], 5.0, "the original has no pause of 0.8 s"),
        (np.zeros(RATE), 100.0, "the original has no pause of 0.16 s"),
        (np.zeros(0), 100.0, "empty"),
        (speech(), 8_000.0, "frames at 8000 Hz at a sample rate of 16000 Hz"),
    ],
)
def test_signals_without_a_pause_have_no_value(signal, frame_rate, reason):
    with pytest.raises(MetricError, match=reason):
        comb.comb(signal, signal, RATE, frame_rate)


def test_channels_are_averaged():
    original = np.stack([speech(), speech(1)], axis=1)
    coded = original + pulses(50.0, 1e-3)[:, None]
    assert comb.comb(original, coded, RATE, 50.0) == comb.comb(original.mean(axis=1), coded.mean(axis=1), RATE, 50.0)
