"""The scores of validation, by hand."""

import jax
import numpy as np
import pytest
from codax.config import Config
from codax.training.validation import scores
from signals import noise

SHAPE = (2, 3000, 2)


@pytest.fixture(scope="module")
def run():
    return jax.jit(lambda target, estimate: scores(Config(), target, estimate))


def test_scores_of_a_gain_and_an_offset(run):
    """SI-SDR ignores both; of the other scores a gain of 0.9 has an SNR of 20 dB and a tenth of the mean magnitude."""
    target = noise(*SHAPE)
    target -= target.mean(axis=1, keepdims=True)
    actual = run(target, 0.9 * target)
    assert actual["snr"] == pytest.approx(20, abs=1e-3)
    assert actual["waveform"] == pytest.approx(0.1 * np.abs(target).mean(), rel=1e-4)
    assert actual["mel"] == pytest.approx(-np.log(0.9), rel=2e-3)
    moved = run(target, 0.9 * target + 0.05)
    assert moved["snr"] < 17
    assert min(actual["si_sdr"], moved["si_sdr"]) > 60  # limited by float32


def test_scores_of_silence_are_finite(run):
    silence = np.zeros(SHAPE, np.float32)
    for pair in ((silence, silence), (silence, silence + np.float32(0.1))):
        assert all(np.isfinite(value) for value in run(*pair).values())
