"""Loudness against the values that ITU-R BS.1770 and EBU Tech 3341 state."""

import math

import numpy as np
import pytest
from codax.listening.loudness import block_powers, integrated_loudness, k_weighting


def sine(decibels: float, seconds: float, rate: int, frequency: float = 997.0) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return 10 ** (decibels / 20) * np.sin(2 * np.pi * frequency * time)[:, None]


def test_coefficients_are_those_of_the_tables():
    shelf, high_pass = k_weighting(48_000)
    # BS.1770-4, tables 1 and 2
    np.testing.assert_allclose(shelf[:3], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(shelf[4:], [-1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(high_pass[:3], [1, -2, 1])
    np.testing.assert_allclose(high_pass[4:], [-1.99004745483398, 0.99007225036621], atol=1e-9)


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000, 96_000])
def test_full_scale_sine_on_one_channel(rate):
    assert integrated_loudness(sine(0, 3, rate), rate) == pytest.approx(-3.01, abs=0.02 if rate > 16_000 else 0.05)


def test_both_channels_add_up():
    stereo = np.repeat(sine(-23, 5, 48_000, 1000.0), 2, axis=1)
    assert integrated_loudness(stereo, 48_000) == pytest.approx(-23.0, abs=0.1)  # EBU Tech 3341, case 1


def test_gates():
    """EBU Tech 3341, cases 3 and 4: 10 s at -36, 60 s at -23, 10 s at -36; then with -72 at both ends; all is -23."""
    third = [sine(level, seconds, 48_000, 1000.0) for level, seconds in ((-36, 10), (-23, 60), (-36, 10))]
    fourth = [sine(-72, 10, 48_000, 1000.0), *third, sine(-72, 10, 48_000, 1000.0)]
    for parts in (third, fourth):
        assert integrated_loudness(np.repeat(np.concatenate(parts), 2, axis=1), 48_000) == pytest.approx(-23, abs=0.1)


def test_blocks():
    assert len(block_powers(np.zeros((19_200, 1)), 48_000)) == 1
    assert len(block_powers(np.zeros((19_199, 1)), 48_000)) == 0
    assert len(block_powers(np.zeros((48_000, 1)), 48_000)) == 7


def test_silence_and_short_signals_have_none():
    assert integrated_loudness(np.zeros((48_000, 2)), 48_000) == -math.inf
    assert integrated_loudness(sine(0, 0.3, 48_000), 48_000) == -math.inf
