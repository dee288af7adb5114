"""DAC as a user holds it: files whole and in segments, no streaming unless it is causal, facts, evaluation."""

from __future__ import annotations

import codax
import numpy as np
import pytest
from codax import audio
from codax.cli.info import describe
from codax.codec.codec import Codec
from codax.codec.loading import load
from codax.config import presets
from codax.errors import CodaxError
from signals import noise


def small_config(**model):
    config = presets.dac_16khz()
    config.model.sample_rate, config.model.channels, config.model.decoder_channels = 8_000, 4, 6
    config.model.strides, config.model.dimension = (2, 5), 8
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.projection = 4, 16, 3
    config.quantizer.kbps = ()
    for name, value in model.items():
        setattr(config.model, name, value)
    return config.validate()


@pytest.mark.parametrize("segment_seconds", [0.0, 0.1])
def test_files_come_back(tmp_path, segment_seconds: float) -> None:
    codec = Codec.init_random(small_config(segment_seconds=segment_seconds), seed=1)
    audio.write(tmp_path / "in.wav", noise(5000, 2), 11_025)
    codax.encode_file(tmp_path / "in.wav", tmp_path / "a.codax", model=codec, kbps=codec.config.kbps(3))
    codax.decode_file(tmp_path / "a.codax", tmp_path / "out.wav", model=codec)
    actual, rate = audio.read(tmp_path / "out.wav")
    sound, _ = audio.read(tmp_path / "in.wav")
    expected = codec.decode(codec.encode(sound[None], sample_rate=11_025, num_quantizers=3))[0]
    assert (rate, actual.shape) == (11_025, (5000, 2))
    np.testing.assert_allclose(actual, np.clip(expected, -1, 1), atol=2e-4)  # resampled in blocks, and 16 bits
    facts = describe(tmp_path / "a.codax")
    assert (facts["num_quantizers"], facts["streams"], facts["model"]) == (3, 2, "dac_16khz")


def test_segments_are_coded_by_themselves() -> None:
    """Every segment but its overlap decodes to what it is alone; an odd stride ends each with silence."""
    codec = Codec.init_random(small_config(segment_seconds=0.1), seed=1)
    sound = noise(1, 2400, 1)
    length, stride = codec.config.segment
    pushed, encoder = [], codec.block_encoder()
    for start in range(0, 2400, 333):
        pushed.append(encoder.push(sound[:, start : start + 333]))
    codes = np.concatenate([*pushed, encoder.finish()], axis=1)
    np.testing.assert_array_equal(codes, codec.encode(sound).codes)
    frames = length // codec.config.hop
    second = codec.engine.encode_piece(sound[:, stride : stride + length], denoise=False)
    np.testing.assert_array_equal(codes[:, frames : 2 * frames], second)
    decoded = codec.decode(codec.encode(sound))
    middle = slice(length, 2 * stride)
    np.testing.assert_allclose(
        decoded[:, middle], codec.engine.decode_piece(second, denoise=False)[:, length - stride : stride], atol=1e-6
    )


def test_it_does_not_stream(tmp_path) -> None:
    codec = Codec.init_random(small_config())
    for start in (codec.stream_encoder, codec.stream_decoder, lambda: codec.sessions(1)):
        with pytest.raises(CodaxError, match="model dac_16khz is not causal and cannot stream"):
            start()
    codec.save(tmp_path / "model")
    facts = describe(tmp_path / "model")
    assert (facts["family"], facts["causal"], facts["latency_ms"]) == ("dac", False, None)
    assert facts["codebook_values"] == 4 * 16 * 3
    assert load(tmp_path / "model").hash == codec.hash


def test_a_causal_one_streams() -> None:
    codec = Codec.init_random(small_config(causal=True, weight_norm=True, dilations=(1,)), seed=2)
    sound = noise(1, 640, 1)
    offline = codec.encode(sound)
    encoder, decoder = codec.stream()
    codes = [encoder.push(sound[:, i : i + 320]) for i in range(0, 640, 320)] + [encoder.finish()]
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), offline.codes)
    streamed = np.concatenate([decoder.push(c) for c in codes], axis=1)
    np.testing.assert_allclose(streamed, codec.decode(offline), atol=1e-5)


def test_fewer_quantizers_are_a_prefix() -> None:
    codec = Codec.init_random(small_config())
    sound = noise(1, 999, 1)
    tokens = codec.encode(sound)
    np.testing.assert_array_equal(codec.encode(sound, num_quantizers=2).codes, tokens.codes[..., :2])
    assert codec.usage().shape == (4, 16)
    np.testing.assert_allclose(codec.vectors(tokens.codes[..., :1]).shape, (1, 100, 8))
