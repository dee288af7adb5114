"""Classical codecs really run: alignment, length, size of the file, clear errors."""

import numpy as np
import pytest
from codax.baselines import amrwb, specs
from codax.baselines.base import BaselineError

RATE = 16_000
SECONDS = 2.5


@pytest.fixture(scope="module")
def signal():
    """Noise-like speech: modulated harmonics and bursts, [time, 1] at 16 kHz, no whole number of codec frames."""
    rng = np.random.default_rng(0)
    t = np.arange(int(SECONDS * RATE) + 123) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    voiced = sum(np.sin(k * pitch + k * k) / k for k in range(1, 25))
    bursts = rng.normal(size=t.shape) * np.clip(np.sin(2 * np.pi * 3.3 * t), 0, 1) ** 4
    return (0.06 * (voiced * np.clip(np.sin(2 * np.pi * 2 * t), 0.02, 1) + 0.3 * bursts)).astype(np.float32)[:, None]


def lag(reference, delayed):
    """Samples by which `delayed` is late: the peak of the cross-correlation."""
    size = 2 * len(reference)
    spectrum = np.fft.rfft(delayed, size) * np.conj(np.fft.rfft(reference, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


@pytest.mark.parametrize(
    ("spec", "tolerance"),
    # At its lowest rates Opus moves a waveform by a few samples, which is no delay of the container (312 samples).
    [("opus:6", 4), ("opus:12", 4), ("opus-audio:24", 0), ("mp3:32", 0), ("aac:32", 0), ("g722:64", 0)],
)
def test_aligned_of_the_same_length_and_of_the_size_asked_for(signal, spec, tolerance):
    baseline = specs.parse(spec)
    coded = baseline.code(signal, RATE)
    assert coded.audio.shape == signal.shape
    assert coded.audio.dtype == np.float32
    assert abs(lag(signal[:, 0], coded.audio[:, 0])) <= tolerance
    assert np.corrcoef(signal[:, 0], coded.audio[:, 0])[0, 1] > (0.5 if baseline.kbps < 20 else 0.9)
    seconds = len(signal) / RATE
    # Opus has a variable rate; the others keep theirs but for the last frame.
    tolerated = 0.3 if spec.startswith("opus") else 0.06
    assert coded.payload_bytes * 8 / seconds / 1000 == pytest.approx(baseline.kbps, rel=tolerated)
    assert 0 <= coded.file_bytes - coded.payload_bytes < 400


def test_more_bits_are_closer(signal):
    errors = [np.mean((specs.parse(f"opus:{k}").code(signal, RATE).audio - signal) ** 2) for k in (12, 24, 64)]
    assert errors[0] > errors[1] > errors[2]


def test_the_same_signal_gives_the_same_file(signal):
    baseline = specs.parse("opus:12")
    samples = np.rint(signal * 32767).astype(np.int16)
    assert baseline.encode(samples, RATE).data == baseline.encode(samples, RATE).data


@pytest.mark.parametrize("spec", ["opus:24", "g722:64"])
def test_stereo_at_a_rate_the_codec_does_not_have(signal, spec):
    stereo = np.stack([np.repeat(signal[:, 0], 2), np.repeat(signal[::-1, 0], 2)], axis=1)
    coded = specs.parse(spec).code(stereo, 32_000)
    assert coded.audio.shape == stereo.shape
    for channel in range(2):
        assert abs(lag(stereo[:, channel], coded.audio[:, channel])) <= 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vorbis:6", "unknown baseline 'vorbis:6'.*opus"),
        ("opus", "expected a rate"),
        ("opus:fast", "expected a rate"),
        ("opus:1", "supports 5 to 256 kbps"),
        ("g722:48", "supports 64 to 64"),
        ("opus:nan", "supports 5 to 256"),
        ("amrwb:12", r"AMR-WB has 6\.6, 8\.85, 12\.65"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(BaselineError, match=message):
        specs.parse(spec)


def test_too_many_channels(signal):
    with pytest.raises(BaselineError, match="one or two channels"):
        specs.parse("opus:12").code(np.repeat(signal, 3, axis=1), RATE)


def test_missing_amrwb_encoder_says_what_to_install(monkeypatch):
    monkeypatch.setenv(amrwb.LIBRARY_VARIABLE, "no-such-library.so")
    amrwb._library.cache_clear()
    with pytest.raises(BaselineError, match="libvo-amrwbenc0"):
        specs.parse("amrwb:12.65")
    amrwb._library.cache_clear()


@pytest.mark.parametrize(("spec", "coded_kbps"), [("amrwb:6.6", 7.2), ("amrwb:12.65", 13.2)])
def test_amrwb(signal, spec, coded_kbps):
    try:
        baseline = specs.parse(spec)
    except BaselineError as error:
        pytest.skip(str(error))
    coded = baseline.code(signal, RATE)
    assert abs(lag(signal[:, 0], coded.audio[:, 0])) <= 2
    # Frames are whole bytes with one byte of header each, 50 a second.
    assert coded.payload_bytes * 8 / (len(signal) / RATE) / 1000 == pytest.approx(coded_kbps, rel=0.02)
