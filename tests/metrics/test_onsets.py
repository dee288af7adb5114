"""The distance over attacks: onsets found where they were put, frames chosen by hand, smearing told from noise."""

from __future__ import annotations

import numpy as np
import pytest
from codax.metrics import onsets, registry
from codax.metrics.signals import MetricError

RATE = 16_000
CLICKS = (0.3, 0.8, 1.5)  # seconds


def plucks() -> np.ndarray:
    """Decaying tones over a faint steady one."""
    time = np.arange(2 * RATE) / RATE
    signal = 0.01 * np.sin(2 * np.pi * 200 * time)
    for i, start in enumerate(CLICKS):
        after = time - start
        decay = np.where(after >= 0, np.exp(-8 * np.maximum(after, 0)), 0.0)
        signal += 0.4 * decay * np.sin(2 * np.pi * 700 * (1 + i) * after)
    return signal


def test_onsets_are_found_where_they_are() -> None:
    actual = onsets.find(plucks(), RATE)
    strong = actual.seconds[actual.strength > 0.3 * actual.strength.max()]
    assert len(strong) == len(CLICKS)
    np.testing.assert_allclose(strong, CLICKS, atol=0.025)


def test_weights_by_hand() -> None:
    actual = onsets.Onsets(np.array([0.1, 0.13]), np.array([2.0, 5.0]))
    seconds = np.array([0.085, 0.09, 0.1, 0.12, 0.15, 0.155, 0.18, 0.185])
    np.testing.assert_array_equal(onsets.weights(actual, seconds), [0, 2, 2, 5, 5, 5, 5, 0])
    np.testing.assert_array_equal(onsets.weights(onsets.Onsets(np.zeros(0), np.zeros(0)), seconds), np.zeros(8))


def test_a_gain_is_a_distance_of_its_decibels() -> None:
    signal = np.random.default_rng(0).normal(size=RATE)
    np.testing.assert_allclose(onsets.frame_distances(signal, signal / 2, RATE), 20 * np.log10(2), rtol=1e-9)
    softer = onsets.frame_distances(signal, signal * 1e-9, RATE)  # limited by the range
    assert 40 < softer.mean() < onsets.RANGE_DB


def test_smeared_attacks_count_and_steady_noise_does_not() -> None:
    signal = plucks()
    same = onsets.onset_distance(signal, signal, RATE)
    assert same == {"onset_distance": 0.0, "steady_distance": 0.0}
    smeared = signal.copy()
    for start in CLICKS:  # the first 20 ms are missing
        smeared[int(start * RATE) :][: RATE // 50] *= 0.05
    attacks = onsets.onset_distance(signal, smeared, RATE)
    assert attacks["onset_distance"] > 5 * attacks["steady_distance"]
    noise = 0.02 * np.random.default_rng(0).normal(size=len(signal))
    for start in CLICKS:
        noise[int((start - 0.05) * RATE) : int((start + 0.1) * RATE)] = 0
    steady = onsets.onset_distance(signal, signal + noise, RATE)
    assert steady["steady_distance"] > 5 * steady["onset_distance"]


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_any_rate_and_channels(rate: int) -> None:
    signal = np.random.default_rng(0).normal(size=(rate, 2)) * np.where(np.arange(rate) > rate // 2, 1, 0.1)[:, None]
    (measure,) = registry.select(["onsets"]).measures
    assert measure.rate is None
    values = measure.compute(signal, 0.5 * signal, rate)
    np.testing.assert_allclose(values["onset_distance"], 6.02, atol=0.05)


def test_where_it_is_not_defined() -> None:
    for signal, reason in ((np.zeros(RATE), "silent"), (np.full(RATE, 0.1), "none of it is an attack")):
        with pytest.raises(MetricError, match=reason):
            onsets.onset_distance(signal, signal, RATE)
