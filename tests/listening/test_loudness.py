"""Loudness against the values that ITU-R BS.1770 and EBU Tech 3341 state."""

import math

import numpy as np
import pytest
from codax.listening.loudness import integrated_loudness


def sine(decibels: float, seconds: float, rate: int, frequency: float = 997.0) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return 10 ** (decibels / 20) * np.sin(2 * np.pi * frequency * time)[:, None]


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000, 96_000])
def test_full_scale_sine_on_one_channel(rate):
    assert integrated_loudness(sine(0, 3, rate), rate) == pytest.approx(-3.01, abs=0.01 if rate == 48_000 else 0.05)


def test_both_channels_add_up():
    stereo = np.repeat(sine(-23, 5, 48_000, 1000.0), 2, axis=1)
    assert integrated_loudness(stereo, 48_000) == pytest.approx(-23.0, abs=0.1)  # EBU Tech 3341, case 1


def test_gates():
    """EBU Tech 3341, cases 3 and 4: 10 s at -36, 60 s at -23, 10 s at -36; then with -72 at both ends; all is -23."""
    third = [sine(level, seconds, 48_000, 1000.0) for level, seconds in ((-36, 10), (-23, 60), (-36, 10))]
    fourth = [sine(-72, 10, 48_000, 1000.0), *third, sine(-72, 10, 48_000, 1000.0)]
    for parts in (third, fourth):
        assert integrated_loudness(np.repeat(np.concatenate(parts), 2, axis=1), 48_000) == pytest.approx(-23, abs=0.1)


def test_incomplete_blocks_do_not_count():
    """550 ms are the blocks of 0 to 400 and 100 to 500 ms: what follows does not matter."""
    rate = 48_000
    signal = sine(-20, 0.55, rate)
    louder = signal.copy()
    louder[rate // 2 :] *= 10
    assert integrated_loudness(louder, rate) == integrated_loudness(signal, rate)
    assert integrated_loudness(louder, rate) == integrated_loudness(signal[: rate // 2], rate)
    assert integrated_loudness(np.concatenate([louder, louder]), rate) > integrated_loudness(signal, rate) + 1


def test_silence_and_short_signals_have_none():
    assert integrated_loudness(np.zeros((48_000, 2)), 48_000) == -math.inf
    assert integrated_loudness(sine(0, 0.3, 48_000), 48_000) == -math.inf
    assert math.isfinite(integrated_loudness(sine(0, 0.4, 48_000), 48_000))
