"""Waveform distances against numbers worked out by hand."""

import numpy as np
import pytest
from codax.metrics import distances
from codax.metrics.signals import MetricError, mono


def test_si_sdr_by_hand():
    # Zero-mean reference (1, -1, 1, -1); the error (1, 1, -1, -1) / 2 is orthogonal to it: 10 log10(4 / 1).
    reference = np.array([1.0, -1, 1, -1])
    estimate = reference + np.array([1.0, 1, -1, -1]) / 2
    assert distances.si_sdr(reference, estimate) == pytest.approx(10 * np.log10(4.0))


def test_si_sdr_ignores_scale_and_offset():
    rng = np.random.default_rng(0)
    reference, noise = rng.normal(size=(2, 1000))
    expected = distances.si_sdr(reference, reference + 0.1 * noise)
    assert distances.si_sdr(reference, 3 * (reference + 0.1 * noise) + 7) == pytest.approx(expected)
    assert expected == pytest.approx(20, abs=0.5)


def test_snr_by_hand():
    # |r|^2 = 25, |r - e|^2 = 1 + 4 = 5.
    assert distances.snr(np.array([3.0, 4.0]), np.array([2.0, 2.0])) == pytest.approx(10 * np.log10(5.0))


def test_snr_averages_channels_in_db():
    reference = np.array([[3.0, 10.0], [4.0, 0.0]])
    estimate = np.array([[2.0, 9.0], [2.0, 0.0]])
    assert distances.snr(reference, estimate) == pytest.approx((10 * np.log10(5.0) + 20) / 2)


@pytest.mark.parametrize("ratio", [distances.si_sdr, distances.snr])
def test_ratios_are_limited(ratio):
    reference = np.array([1.0, -1, 2, -2])
    assert ratio(reference, reference) == 100
    assert ratio(reference, np.zeros(4)) == (-100 if ratio is distances.si_sdr else 0)
    with pytest.raises(MetricError, match="silent"):
        ratio(np.zeros(4), reference)


def test_magnitudes_of_a_sine():
    # A sine in the middle of bin 8 under a periodic Hann window: amplitude x window / 4 there, half of it beside.
    window = 64
    sine = 0.5 * np.sin(2 * np.pi * 8 * np.arange(1024) / window)
    middle = distances.magnitudes(sine[:, None], window)[0, 8]
    np.testing.assert_allclose(middle[7:10], [4, 8, 4], atol=1e-9)


def test_stft_distance_of_a_gain():
    # Halving the signal moves every log magnitude above the floor by 2 log10(2), for each of the two windows.
    signal = np.random.default_rng(1).normal(size=8000)
    linear = sum(0.5 * distances.magnitudes(signal[:, None], w).mean() for w in distances.STFT_WINDOWS)
    assert distances.stft_distance(signal, signal / 2) == pytest.approx(4 * np.log10(2) + linear, rel=1e-6)


def test_spectral_distances_are_zero_for_the_same_signal_and_grow():
    rng = np.random.default_rng(2)
    signal, noise = rng.normal(size=(2, 8000))
    for distance in (distances.stft_distance, lambda a, b: distances.mel_distance(a, b, 16_000)):
        assert distance(signal, signal) == 0
        assert 0 < distance(signal, signal + 0.01 * noise) < distance(signal, signal + 0.5 * noise)


def test_floor_of_the_logarithm():
    # Silence against silence is no distance, and silence against something is finite.
    silence = np.zeros(4096)
    assert distances.stft_distance(silence, silence) == 0
    assert np.isfinite(distances.mel_distance(np.ones(4096), silence, 24_000))


@pytest.mark.parametrize("name,zero,scale", [("int16", 0, 2**15), ("int32", 0, 2**31), ("uint8", 128, 128)])
def test_integers_are_scaled_by_their_type(name, zero, scale):
    reference, noise = np.random.default_rng(0).normal(0, 0.1, size=(2, 8000)).clip(-0.4, 0.4)
    integers = [np.rint(x * scale + zero).astype(name) for x in (reference, reference + noise)]
    floats = [(x.astype(float) - zero) / scale for x in integers]
    for distance in (distances.snr, distances.stft_distance):
        assert distance(*integers) == distance(*floats)
        assert distance(floats[0], integers[1]) == distance(*floats)
    np.testing.assert_array_equal(mono(integers[0][:, None]), np.float32(floats[0]))


def test_bad_input():
    with pytest.raises(MetricError, match="int64 has no full scale"):
        distances.snr(np.ones(4, int), np.ones(4))
    with pytest.raises(MetricError, match=r"must be \[time\] or \[time, channels\], got shape \(1, 16000\)"):
        distances.snr(np.ones((1, 16000)), np.ones((1, 16000)))
    with pytest.raises(MetricError, match="shapes"):
        distances.snr(np.ones(4), np.ones(5))
    with pytest.raises(MetricError, match="finite"):
        distances.snr(np.ones(4), np.array([1, 2, np.nan, 3]))
    with pytest.raises(MetricError, match="too short"):
        distances.stft_distance(np.ones(100), np.ones(100))
    with pytest.raises(MetricError, match="shape"):
        distances.si_sdr(np.zeros((0, 1)), np.zeros((0, 1)))
