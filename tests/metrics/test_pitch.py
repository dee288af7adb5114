"""F0 measures on voices whose pitch is known."""

import numpy as np
import pytest
from codax.metrics import pitch


def voice(contour: np.ndarray) -> np.ndarray:
    """Harmonics of a pitch in Hz [time] at 16 kHz, [time]."""
    phase = 2 * np.pi * np.cumsum(contour) / pitch.SAMPLE_RATE
    return sum(0.1 / k * np.sin(k * phase) for k in range(1, 12))


TIME = np.arange(24_000) / pitch.SAMPLE_RATE
CONTOUR = 150 + 40 * np.sin(2 * np.pi * 1.5 * TIME)


def test_the_track_is_the_pitch() -> None:
    actual = pitch.track(voice(CONTOUR))
    expected = CONTOUR[np.minimum(256 * np.arange(len(actual)), len(CONTOUR) - 1)]
    inside = slice(2, -2)  # windows that are full
    assert np.isfinite(actual[inside]).all()
    assert np.abs(1200 * np.log2(actual / expected))[inside].max() < 30


def test_the_same_voice_and_one_a_semitone_higher() -> None:
    same = pitch.f0(voice(CONTOUR), voice(CONTOUR))
    assert same == {"f0_correlation": pytest.approx(1), "f0_rmse": 0, "voicing_error": 0}
    higher = pitch.f0(voice(CONTOUR), voice(CONTOUR * 2 ** (1 / 12)))
    assert higher["f0_correlation"] > 0.99
    assert higher["f0_rmse"] == pytest.approx(100, abs=10)


def test_another_melody_and_silence() -> None:
    opposite = pitch.f0(voice(CONTOUR), voice(300 - CONTOUR))
    assert opposite["f0_correlation"] < -0.9
    half = voice(CONTOUR) * (TIME < 0.75)
    assert pitch.f0(voice(CONTOUR), half)["voicing_error"] == pytest.approx(50, abs=8)
    silent = pitch.f0(voice(CONTOUR), np.zeros(len(TIME)))
    assert silent["voicing_error"] > 80 and np.isnan([silent["f0_correlation"], silent["f0_rmse"]]).all()
