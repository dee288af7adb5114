"""Evaluation of speech in noise."""

import json

import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import CodaxError
from codax.evaluation import runner
from codax.evaluation.noise import InNoise, Noise, condition
from codax.evaluation.systems import CodecSystem, Original

RATE = 16_000
SPEECH = (0.3 * np.sin(np.arange(RATE) / 9))[:, None].astype(np.float32)


@pytest.mark.parametrize("kind", ["synthetic", "recorded"])
@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0])
def test_noise_has_the_ratio_and_depends_on_the_utterance_alone(kind, snr, tmp_path):
    spec = "starter-noise"
    if kind == "recorded":
        spec = str(tmp_path)
        for i in range(3):  # shorter than the speech
            audio.write(tmp_path / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal((RATE // 2, 2)), RATE)
    outputs = [InNoise(Original(), Noise(spec, split="test", sample_rate=RATE), snr)(SPEECH, RATE) for _ in range(2)]
    added = outputs[0].audio - SPEECH
    assert 10 * np.log10(np.sum(SPEECH**2) / np.sum(added**2)) == pytest.approx(snr, abs=0.01)
    np.testing.assert_array_equal(outputs[0].audio, outputs[1].audio)
    other = InNoise(Original(), Noise(spec, split="test", sample_rate=RATE), snr)(SPEECH[::-1], RATE).audio
    assert np.abs(other - SPEECH[::-1] - added).max() > 0.01


@pytest.mark.parametrize("snr", [-5.0, 0.0, 2.5, 1e-7])
def test_the_ratio_is_in_the_name_of_the_series(codec, snr):
    noise, system = Noise("starter-noise", split="test", sample_rate=RATE), CodecSystem(codec, 128.0, "a, b")
    series = InNoise(system, noise, snr).series
    assert series.removesuffix(condition(series)) == system.series != series
    assert condition(system.series) == ""


def test_systems_get_noisy_speech_below_full_scale(codec):
    """The fake codec fails above full scale; its output has the level of the utterance."""
    noise = Noise("starter-noise", split="test", sample_rate=RATE)
    noisy, coded = (InNoise(system, noise, -10.0)(SPEECH, RATE) for system in (Original(), CodecSystem(codec, 128.0)))
    assert np.abs(noisy.audio).max() > 1
    np.testing.assert_allclose(coded.audio[::2], (noisy.audio[::2] + noisy.audio[1::2]) / 2, atol=0.01)
    assert coded.file_bytes and coded.codes is None


def test_an_evaluation_in_noise(folder, tmp_path):
    config = Config(name="tiny")
    config.model.sample_rate, config.model.strides, config.model.channels = RATE, (4, 5), 4
    config.model.dimension, config.model.dilations, config.model.film = 8, (1,), "encoder"
    config.data.noise_source = "starter-noise"
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 16, (6.4,)
    model = Codec.init_random(config.validate())
    results = runner.evaluate(
        model, str(folder), tmp_path / "out", metrics=("si_sdr", "codebooks"), baselines=("anchor35",),
        denoise=True, snr=(0.0, 5.0), limit=2,
    )  # fmt: skip
    labels = [system.label for system in results.systems]
    assert labels == ["original", "tiny 6.4 kbps", "tiny denoised 6.4 kbps", "low-pass 3.5 kHz"] + [
        f"{name}, {snr} dB" for snr in (0, 5) for name in ("noisy input", "tiny 6.4 kbps", "tiny denoised 6.4 kbps")
    ]
    scores = {system.label: system.metrics["si_sdr"] for system in results.systems}
    for snr in (0, 5):
        interval = scores[f"noisy input, {snr} dB"]
        assert interval is not None and interval.mean == pytest.approx(snr, abs=0.5)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["settings"]["noise"] == "starter-noise, which is synthetic"
    assert (tmp_path / "out" / "audio" / "original_in_noise_5dB" / "clip0.wav").exists()


def test_wrong_settings_are_refused(codec, folder, tmp_path):
    arguments = {"metrics": ("snr",), "out": None}
    with pytest.raises(CodaxError, match="no model was trained to denoise"):
        runner.evaluate(codec, str(folder), denoise=True, **arguments)
    with pytest.raises(CodaxError, match=r"--snr: nan dB is outside of ±100 dB"):
        runner.evaluate(codec, str(folder), snr=(float("nan"),), **arguments)
    with pytest.raises(CodaxError, match="absent: no such file"):
        runner.evaluate(codec, str(folder), snr=(5.0,), noise=str(tmp_path / "absent"), **arguments)
    (tmp_path / "silence").mkdir()
    audio.write(tmp_path / "silence" / "a.wav", np.zeros((RATE, 1), np.float32), RATE)
    with pytest.raises(CodaxError, match="silen"):
        runner.evaluate(codec, str(folder), snr=(5.0,), noise=str(tmp_path / "silence"), **arguments)
