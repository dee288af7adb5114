"""The command without `--model`: the model in the package codes speech, and is found again to decode it."""

from __future__ import annotations

import json
from pathlib import Path

import codax
import numpy as np
import pytest
from codax import audio
from codax.codec import shipped
from packed_files import unpack


def voice(seconds: float, rate: int) -> np.ndarray:
    """A gliding vowel with pauses, float32 [time, 1]: harmonics of 110 to 150 Hz under three formants."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(130 + 20 * np.sin(2 * np.pi * time)) / rate
    sound = np.zeros_like(time)
    for number in range(1, 30):
        pitch = 130 * number
        weight = sum(np.exp(-(((pitch - formant) / 150) ** 2)) for formant in (600, 1200, 2500))
        sound += (weight + 0.01) * np.sin(number * phase)
    envelope = np.clip(2 * np.sin(2 * np.pi * 1.5 * time), 0, 1)
    return (0.4 * envelope * sound / np.abs(sound).max())[:, None].astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_encode_and_decode(run_here, monkeypatch, tmp_path, rate) -> None:
    monkeypatch.delenv("CODAX_MODELS", raising=False)
    sound = voice(2.0, rate)
    audio.write("in.wav", sound, rate)
    status, out, err = run_here("encode", "in.wav", "a.codax", "--kbps", "9")
    assert (status, err) == (0, "") and " 9." in out
    status, _, err = run_here("decode", "a.codax", "out.wav")
    assert (status, err) == (0, "")
    actual, found_rate = audio.read("out.wav")
    assert (found_rate, actual.shape) == (rate, sound.shape)
    assert audio_distance(sound, actual) < 0.6 < audio_distance(sound[::-1], actual)
    # A new home, without the note of where the model was: the package is searched.
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "other"))
    status, _, err = run_here("decode", "a.codax", "again.wav")
    assert (status, err) == (0, "")
    np.testing.assert_array_equal(audio.read("again.wav")[0], actual)


def test_a_wider_beam_leaves_less_error(run_here, monkeypatch) -> None:
    monkeypatch.delenv("CODAX_MODELS", raising=False)
    sound = voice(1.0, 16_000)
    audio.write("in.wav", sound, 16_000)
    codec, errors = codax.load(shipped.DEFAULT), {}
    latent = codec.module.apply(
        {"params": codec.params, "codebook": codec.codebook}, sound[None], method="encode_latent"
    )
    for beam in (1, 8):
        options = ("--kbps", "6", "--beam", str(beam))
        status, _, err = run_here("encode", "in.wav", "a.codax", "--overwrite", *options)
        assert (status, err) == (0, "")
        codes = unpack(Path("a.codax").read_bytes())[0]
        errors[beam] = float(np.mean((codec.vectors(codes) - latent) ** 2))
    assert errors[8] < 0.93 * errors[1]
    status, _, err = run_here("encode", "in.wav", "b.codax", "--beam", "65")
    assert status == 1 and "quantizer.beam" in err and err.count("\n") == 1


def audio_distance(target: np.ndarray, actual: np.ndarray) -> float:
    """Energy of the difference of the magnitude spectrograms, as a share of the target's."""

    def spectrogram(sound: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(sound[:, 0], 1024)[::256]
        return np.abs(np.fft.rfft(frames * np.hanning(1024)))

    a, b = spectrogram(target), spectrogram(actual)
    return float(np.sum((a - b) ** 2) / np.sum(a**2))


def test_info(run_here) -> None:
    status, out, err = run_here("info", shipped.DEFAULT, "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    assert (facts["kind"], facts["name"], facts["sample_rate"]) == ("model", shipped.DEFAULT, 16_000)
    assert {3.0, 6.0, 9.0} <= set(facts["kbps"])
    assert facts["card"].endswith("README.md")
