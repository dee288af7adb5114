"""STOI and PESQ through their packages: order of scores and clear errors."""

import numpy as np
import pytest
from codax.metrics import intelligibility
from codax.metrics.signals import MetricError


@pytest.fixture(scope="module")
def speechlike():
    """Two seconds of harmonics of 140 Hz, each at its own pace, in syllables, [time] at 16 kHz."""
    t = np.arange(32_000) / 16_000
    tones = (np.sin(2 * np.pi * 140 * k * t) * (1 + np.sin(2 * np.pi * (2 + k / 3) * t + k)) / k for k in range(1, 25))
    return (0.1 * sum(tones) * np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)).astype(np.float32)


def noisy(signal, level):
    return signal + level * np.random.default_rng(0).normal(size=signal.shape).astype(np.float32)


@pytest.mark.parametrize("extended", [False, True])
def test_stoi(speechlike, extended):
    pytest.importorskip("pystoi")
    scores = [
        intelligibility.stoi(speechlike, noisy(speechlike, level), extended=extended) for level in (0.0, 0.01, 0.05)
    ]
    assert scores[0] == pytest.approx(1, abs=1e-6)
    assert scores[0] > scores[1] > scores[2]


def test_stoi_without_enough_speech(speechlike):
    pytest.importorskip("pystoi")
    with pytest.raises(MetricError, match=r"0\.4 s"):
        intelligibility.stoi(speechlike[:3000], speechlike[:3000])


@pytest.mark.parametrize("wide_band", [True, False])
def test_pesq(speechlike, wide_band):
    pytest.importorskip("pesq")
    scores = [intelligibility.pesq(speechlike, noisy(speechlike, x), wide_band=wide_band) for x in (0.0, 0.003, 0.3)]
    assert scores[0] > 4.4
    assert scores[0] > scores[1] > scores[2]


def test_pesq_of_silence(speechlike):
    pytest.importorskip("pesq")
    with pytest.raises(MetricError, match="silent"):
        intelligibility.pesq(np.zeros_like(speechlike), speechlike)


def test_dnsmos(speechlike):
    pytest.importorskip("speechmos")
    clean, rough = (intelligibility.dnsmos(noisy(speechlike, x)) for x in (0.0, 0.03))
    assert set(clean) == {"dnsmos", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808"}
    assert clean["dnsmos_bak"] > rough["dnsmos_bak"] + 0.5
    assert all(0.5 < value < 5 for value in [*clean.values(), *rough.values()])
    # Channels are averaged, and what is beyond full scale is clipped, not refused.
    assert intelligibility.dnsmos(np.stack([speechlike, speechlike], axis=1)) == pytest.approx(clean)
    assert intelligibility.dnsmos(100 * speechlike)["dnsmos"] < clean["dnsmos"]
    with pytest.raises(MetricError, match="silent"):
        intelligibility.dnsmos(np.zeros(16_000))


def test_missing_package_names_the_extra(speechlike, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pesq", None)
    with pytest.raises(MetricError, match=r"pip install .*\[metrics\]"):
        intelligibility.pesq(speechlike, speechlike)
