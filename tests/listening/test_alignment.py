"""Late signals are noticed, also of codecs that keep no waveform; signals in time are not suspected."""

import numpy as np
import pytest
import soundfile
from codax.baselines.anchors import anchor
from codax.errors import CodaxError
from codax.listening.alignment import delay
from codax.listening.build import Plan, build
from codax.listening.material import Rules
from excerpts import RATE, excerpt, systems_of


def _speech(seconds: float = 3.0) -> np.ndarray:
    """Syllables of harmonics and of noise, [time, 1]."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    syllable = (4.3 * time).astype(int)
    pitch = rng.uniform(100, 220, syllable.max() + 1)[syllable]
    voiced = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k for k in range(1, 20))
    noise = rng.standard_normal(len(time))
    sound = np.where(rng.random(syllable.max() + 1)[syllable] < 0.6, voiced, noise)
    return (0.1 * sound * np.abs(np.sin(np.pi * 4.3 * time)) ** rng.uniform(0.5, 3, syllable.max() + 1)[syllable])[
        :, None
    ]


def _shifted(signal: np.ndarray, milliseconds: int) -> np.ndarray:
    samples = abs(milliseconds) * RATE // 1000
    padding = ((samples, 0), (0, 0)) if milliseconds > 0 else ((0, samples), (0, 0))
    return np.pad(signal, padding)[: len(signal)] if milliseconds > 0 else np.pad(signal, padding)[samples:]


def _without_phase(signal: np.ndarray) -> np.ndarray:
    """The signal with random phases in every frame, as of a codec that keeps the spectrum only."""
    import librosa

    spectra = np.abs(librosa.stft(signal[:, 0], n_fft=512, hop_length=128))
    phases = np.exp(2j * np.pi * np.random.default_rng(1).random(spectra.shape))
    return librosa.istft(spectra * phases, hop_length=128, n_fft=512, length=len(signal))[:, None]


SIGNALS = {
    "speech": _speech(),
    "noise": 0.1 * np.random.default_rng(2).standard_normal((2 * RATE, 1)),
    "tones": excerpt(1, seconds=2.0)[:, None],
}
CODECS = {
    "none": lambda x: x,
    "softer": lambda x: 0.5 * x,
    "noisy": lambda x: x + 0.01 * np.random.default_rng(3).standard_normal(x.shape),
    "low-pass": lambda x: anchor("anchor35", x.astype(np.float32), RATE),
    "no phase": _without_phase,
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("codec", CODECS)
def test_signals_in_time_have_no_delay(name, codec):
    assert delay(SIGNALS[name], CODECS[codec](SIGNALS[name]), RATE) == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("milliseconds", [-100, 35, 200, 450])
def test_late_and_early_signals_are_measured(codec, milliseconds):
    late = _shifted(CODECS[codec](SIGNALS["speech"]), milliseconds)
    assert delay(SIGNALS["speech"], late, RATE) == pytest.approx(milliseconds / 1000, abs=0.006)


def test_constant_and_short_signals_have_none():
    for signal in (np.ones((RATE, 1)), np.zeros((RATE, 1)), np.ones((100, 1)), np.zeros((0, 1))):
        assert delay(signal, signal, RATE) == 0


def _build(material, out):
    return build(material / "ref", systems_of(material), out, Plan(), Rules(tolerance=20.0))


def test_a_late_stimulus_is_a_warning(material, tmp_path):
    path = material / "secretone" / "item1.wav"
    soundfile.write(path, _shifted(soundfile.read(path)[0][:, None], 200), RATE)
    warnings = _build(material, tmp_path / "a").warnings
    assert len(warnings) == 1
    assert (
        f"{path}: about 200 ms later than {material / 'ref' / 'item1.wav'}; BS.1534-3 asks for aligned" in warnings[0]
    )


@pytest.mark.parametrize("seconds", [1.0, 0.3])
@pytest.mark.parametrize(
    ("system", "reason"), [("ref", "is silent, so nothing can be rated"), ("secretone", "is silent, and")]
)
def test_silence_is_refused(material, tmp_path, system, reason, seconds):
    for folder in ("ref", "secretone", "secrettwo"):
        signal = soundfile.read(material / folder / "item2.wav")[0][: round(seconds * RATE)]
        soundfile.write(material / folder / "item2.wav", signal * (folder != system), RATE)
    with pytest.raises(CodaxError, match=rf"{system}/item2\.wav: {reason}"):
        _build(material, tmp_path / "a")
    assert not (tmp_path / "a").exists()
