"""A small codec of each family, with codes that follow the input."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from codax.codec.codec import Codec
from codax.codec.module import CodecModel
from codax.config import Config

FAMILIES = ("soundstream", "beam", "denoise", "encodec_24khz", "encodec_48khz", "speechtokenizer", "mimi", "dac")
STREAMING = ("soundstream", "beam", "denoise", "encodec_24khz", "mimi")


def config(name: str) -> Config:
    """A recipe in small."""
    made = Config(name=f"tiny_{name}")
    model, net, quantizer = made.model, made.model.seanet, made.quantizer
    model.family, model.sample_rate, model.channels, model.strides = "soundstream", 8_000, 8, (2, 4)
    model.dilations, model.dimension = (1, 3), 16
    quantizer.num_quantizers, quantizer.codebook_size, quantizer.kbps = 4, 32, ()
    if name == "beam":
        quantizer.beam = 3
    elif name == "denoise":
        model.film, made.data.noise_source = "encoder", "starter-noise"
    elif name == "encodec_24khz":
        model.family, model.dilations = "encodec", (1,)
    elif name == "encodec_48khz":
        model.family, model.dilations, model.causal, model.audio_channels = "encodec", (1,), False, 2
        net.norm, model.normalize, model.segment_seconds = "group", True, 0.1
    elif name == "speechtokenizer":
        model.family, model.dilations, model.causal = "encodec", (1,), False
        net.bidirectional, model.semantic_dimension = True, 6
    elif name == "mimi":
        model.family, model.dilations, model.resample_stride = "mimi", (1,), 2
        net.pad_mode, net.lstm_layers, net.shortcut = "zeros", 0, "identity"
        model.transformer.layers, model.transformer.heads, model.transformer.hidden = 2, 2, 24
        model.transformer.context = 5
        quantizer.semantic, quantizer.projection = 1, 8
    elif name == "dac":
        model.family, model.causal, model.weight_norm, model.strides = "dac", False, True, (2, 5)
        quantizer.kind, quantizer.projection = "factorised", 4
    return made.validate()


@functools.cache
def codec(name: str) -> Codec:
    made = Codec.init_random(config(name), seed=3)
    if "embedding" not in made.variables["codebook"]["quantizer"]:
        return made
    # Entries about as far from each other as the latent's vectors.
    latent = made.model.apply(made.variables, jnp.asarray(signal(made, 1, 64)), method=CodecModel.encode_latent)
    spread = float(np.std(np.asarray(latent)))
    books = dict(made.variables["codebook"]["quantizer"])
    books["embedding"] = spread * books["embedding"] * 0.7 ** jnp.arange(4)[:, None, None]
    return Codec(made.config, jax.device_get(made.variables["params"]), {"quantizer": books})


def signal(made: Codec, batch: int, frames: int, seed: int = 0) -> np.ndarray:
    """Noise whose loudness changes, float32 [batch, frames * hop, channels]."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0.02, 0.5, (batch, frames, 1)), made.config.hop, axis=1)
    shape = (batch, frames * made.config.hop, made.config.model.audio_channels)
    return (loudness * rng.standard_normal(shape)).astype(np.float32)
