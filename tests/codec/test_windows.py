"""Coding in windows: what the whole signal gives, for networks of all kinds without causality, in any pieces."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from codax.codec import windows
from codax.codec.codec import Codec
from codax.codec.engine import Engine
from codax.config import Config, presets
from codax.config.recipe_files import load_recipe
from codax.errors import CodaxError
from codax.nets.families import facts
from signals import noise


def dac() -> Config:
    config = presets.dac_16khz()
    config.model.channels, config.model.decoder_channels, config.model.strides = 4, 6, (2, 3)
    return config


def soundstream(**model) -> Config:
    config = Config(name="windows")
    config.model.causal, config.model.channels, config.model.strides = False, 4, (2, 3)
    for name, value in model.items():
        setattr(config.model, name, value)
    if config.model.film != "none":
        config.data.noise_source = "starter-noise"
    return config


CONFIGS = {
    "dac": dac(),
    "plain": soundstream(),
    "stem": soundstream(stem_stride=4, dilations=(1,)),
    "wide": soundstream(kernel_size=5, latent_kernel_size=9, dilations=(1, 7), weight_norm=True),
    "even": soundstream(strides=(4, 1, 5), dilations=(2,)),
    "film": soundstream(film="decoder", dilations=(1,)),
}


# Numbers of frames for each: less than a window, about one, several, and an end within a frame.
FRAMES = {"dac": (1, 100.5), "plain": (20, 61), "stem": (1, 61), "wide": (20, 100.5), "even": (61,), "film": (100.5,)}


@functools.cache
def made(name: str) -> Codec:
    config = CONFIGS[name]
    config.model.sample_rate, config.model.dimension = 8_000, 8
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 3, 16, ()
    return Codec.init_random(config.validate(), seed=1)


@pytest.fixture(params=CONFIGS)
def codec(request) -> Codec:
    return made(request.param)


@pytest.fixture
def small(monkeypatch) -> None:
    """Windows of little more than their context, so that short signals have many."""
    monkeypatch.setattr(windows, "_CONTEXTS", 1)
    monkeypatch.setattr(windows, "_CPU_PIECE_SAMPLES", 1)


def pieces(array: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(array, np.cumsum(sizes), axis=1)


@pytest.mark.parametrize(
    ("codec", "frames"), [(name, count) for name, counts in FRAMES.items() for count in counts], indirect=["codec"]
)
def test_windows_give_what_the_whole_gives(codec: Codec, small, frames: float) -> None:
    length = round(frames * codec.config.hop)
    audio = noise(2, length, 1)
    codes = codec.engine.encode_piece(audio, denoise=False)
    sound = codec.engine.decode_piece(codes, denoise=False)
    for sizes in ([], [length // 3, 0, 1], [length // 7] * 6):
        encoder = codec.block_encoder(batch=2)
        actual = [encoder.push(piece) for piece in pieces(audio, sizes)] + [encoder.finish()]
        np.testing.assert_array_equal(np.concatenate(actual, axis=1), codes)
        decoder = codec.block_decoder(length=length, frames=codes.shape[1], batch=2)
        cuts = [size // codec.config.hop for size in sizes]
        parts = pieces(codes, cuts)
        out = np.concatenate([*(decoder.push(part) for part in parts[:-1]), decoder.finish(parts[-1])], axis=1)
        np.testing.assert_allclose(out, sound, atol=2e-6)
    tokens = codec.encode(audio)
    np.testing.assert_array_equal(tokens.codes, codes)
    np.testing.assert_allclose(codec.decode(tokens), sound[:, :length], atol=2e-6)


@pytest.mark.parametrize("codec", ["dac", "plain", "wide"], indirect=True)
def test_the_context_is_needed(codec: Codec, small, monkeypatch) -> None:
    """A good half of it at least: with a third, windows show."""
    audio = noise(1, 80 * codec.config.hop, 1)
    codes = codec.encode(audio).codes
    whole = codec.engine.decode_piece(codes, denoise=False)
    context = codec.engine.context_frames
    monkeypatch.setattr(codec.engine, "context_frames", context // 3)
    decoder = windows.WindowDecoder(codec.engine)
    assert np.abs(np.concatenate([decoder.push(codes), decoder.finish()], axis=1) - whole).max() > 1e-5


@pytest.mark.parametrize("codec", ["dac", "even"], indirect=True)
def test_all_windows_have_one_length(codec: Codec, small, monkeypatch) -> None:
    lengths = []
    plain = Engine.encode_piece

    def encode_piece(self, signals, denoise, levels=None):
        lengths.append(-(-signals.shape[1] // self.config.hop))
        return plain(self, signals, denoise, levels)

    monkeypatch.setattr(Engine, "encode_piece", encode_piece)
    encoder = codec.block_encoder()
    audio = np.zeros((1, 1001, 1), np.float32)
    given = [encoder.push(audio).shape[1] for _ in range(9)]
    encoder.finish()
    assert len(lengths) > 5 and len(set(lengths)) == 1
    assert sum(given) > 0.8 * 9 * 1001 / codec.config.hop  # it does not wait for the end
    assert encoder._held.shape[1] < 3 * lengths[0] * codec.config.hop + 1001  # nor keep what is done


def test_who_needs_the_whole_signal() -> None:
    assert facts(load_recipe("configs/dac_44khz.py").model).context_frames == 12
    for recipe in ("encodec_48khz", "speechtokenizer_16khz", "mimi_24khz"):
        assert facts(load_recipe(f"configs/{recipe}.py").model).context_frames is None
    config = soundstream(segment_seconds=1.0)
    config.quantizer.kbps = ()
    assert facts(config.model).context_frames is None
    with pytest.raises(CodaxError, match="model windows cannot be run in windows"):
        windows.WindowEncoder(Codec.init_random(config.validate()).engine)
