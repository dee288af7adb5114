"""`codax convert`: levels of one recording with those of another."""

from __future__ import annotations

import os

import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec, Tokens
from codax.codec.voice_conversion import check_content, swap_levels
from codax.config import Config, presets
from codax.errors import CodaxError


def tokens(frames: int, quantizers: int = 3, streams: int = 1, start: int = 0) -> Tokens:
    codes = start + np.arange(streams * frames * quantizers, dtype=np.int32).reshape(streams, frames, quantizers)
    return Tokens(codes, frames * 80, 8000, streams)


def test_the_voice_is_repeated_or_cut() -> None:
    content = tokens(7)
    for voice in (tokens(3, start=100), tokens(20, quantizers=4, start=100)):
        for levels in (1, 2):
            actual = swap_levels(content, voice, levels)
            assert (actual.length, actual.sample_rate, actual.channels) == (560, 8000, 1)
            np.testing.assert_array_equal(actual.codes[..., :levels], content.codes[..., :levels])
            for frame in range(7):
                expected = voice.codes[0, frame % voice.codes.shape[1], levels:3]
                np.testing.assert_array_equal(actual.codes[0, frame, levels:], expected)


def test_one_voice_for_all_streams() -> None:
    actual = swap_levels(tokens(4, streams=2), tokens(4, streams=2, start=100)).codes
    np.testing.assert_array_equal(actual[0, :, 1:], actual[1, :, 1:])
    assert not np.array_equal(actual[0, :, 0], actual[1, :, 0])


def test_what_does_not_fit() -> None:
    for levels in (0, 3):
        with pytest.raises(CodaxError, match=f"{levels} of 3 codebooks"):
            swap_levels(tokens(4), tokens(4), levels)
    for voice in (tokens(4, quantizers=2), tokens(0)):
        with pytest.raises(CodaxError, match="do not fit those of the content"):
            swap_levels(tokens(4), voice)


@pytest.fixture
def model(tmp_path):
    config = Config(name="tiny")
    config.model.sample_rate, config.model.channels, config.model.strides, config.model.dimension = 8000, 2, (8, 10), 8
    config.model.semantic_dimension = 4
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 3, 64, ()
    Codec.init_random(config, seed=1).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_command(run_here, model) -> None:
    rng = np.random.default_rng(0)
    audio.write("said.wav", rng.normal(0, 0.1, (16_001, 1)), 16_000)
    audio.write("voice.wav", rng.normal(0, 0.1, (4000, 2)), 8000)
    status, out, err = run_here("convert", "said.wav", "voice.wav", "out.flac", "--model", model)
    assert status == 0, err
    assert out == "out.flac: 1.00 s, 1 of 3 codebooks of said.wav\n"
    converted, rate = audio.read("out.flac")
    assert rate == 16_000 and converted.shape == (16_001, 1)
    # All levels of itself give the codec's own version.
    assert run_here("convert", "said.wav", "said.wav", "same.wav", "--model", model, "--content", "2")[0] == 0
    assert run_here("encode", "said.wav", "said.codax", "--model", model)[0] == 0
    assert run_here("decode", "said.codax", "decoded.wav", "--model", model)[0] == 0
    np.testing.assert_allclose(audio.read("same.wav")[0], audio.read("decoded.wav")[0], atol=1e-3)
    for arguments, reason in (
        (("absent.wav", "voice.wav", "a.wav"), "absent.wav"),
        (("said.wav", "voice.wav", "voice.wav"), "voice.wav: input and output are the same file"),
        (("said.wav", "voice.wav", "a.wav", "--content", "3"), "3 of 3 codebooks"),
        (("said.wav", "voice.wav", "no/a.wav"), "no/a.wav"),
    ):
        status, _, err = run_here("convert", *arguments, "--model", model)
        assert status == 1 and reason in err and len(err.splitlines()) == 1


def test_models_whose_first_codebook_does_not_carry_the_content(run_here) -> None:
    rng = np.random.default_rng(0)
    for name in ("said.wav", "voice.wav"):
        audio.write(name, rng.normal(0, 0.1, (8000, 1)), 8000)
    status, out, err = run_here("convert", "said.wav", "voice.wav", "out.wav", "--model", "soundstream-speech")
    assert (status, out) == (1, "") and len(err.splitlines()) == 1
    assert "its first codebook does not carry the content" in err
    assert sorted(os.listdir()) == ["said.wav", "voice.wav"]
    for config in (presets.speechtokenizer_16khz(), presets.mimi_24khz()):
        check_content(config, "model")
    with pytest.raises(CodaxError, match=r"^model x: its first codebook"):
        check_content(presets.encodec_24khz(), "model x")
