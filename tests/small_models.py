"""A small codec of each family, with codes that follow the input."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from codax.codec.codec import Codec
from codax.codec.module import CodecModel
from codax.config import Config, SoundStreamConfig

FAMILIES = (
    "soundstream", "beam", "denoise", "frames", "linear_frames", "symmetric_frames", "encodec_24khz", "encodec_stem",
    "encodec_48khz", "speechtokenizer", "mimi", "dac",
)  # fmt: skip
NETWORKS = dict.fromkeys(("encodec_24khz", "encodec_stem", "encodec_48khz", "speechtokenizer"), "encodec")
NETWORKS |= {"mimi": "mimi", "dac": "dac"}
STREAMING = ("soundstream", "beam", "denoise", "frames", "linear_frames", "encodec_24khz", "encodec_stem", "mimi")


def config(name: str) -> Config:
    """A recipe in small."""
    made = Config(name=f"tiny_{name}")
    family = NETWORKS.get(name, "soundstream")
    made.model = SoundStreamConfig(sample_rate=8_000, channels=8, strides=(2, 4), dilations=(1, 3), dimension=16)
    model = made.model = made.model.of_class(family)
    if family in ("encodec", "mimi"):
        model.dilations = (1,)
    quantizer = made.quantizer = made.quantizer.of_class("factorised" if name == "dac" else "average")
    quantizer.num_quantizers, quantizer.codebook_size, quantizer.kbps = 4, 32, ()
    if name == "beam":
        quantizer.beam, model.gains_db = 3, (3.0, 2.0, 1.0, -1.0)
    elif name.endswith("frames"):
        frames = model.frame_decoder
        frames.layers, frames.channels, frames.hidden, frames.kernel_size = 2, 12, 24, 3
        if name == "frames":
            model.noise_channels = 3
        elif name == "linear_frames":
            frames.head = "linear"
        else:
            model.causal, frames.window_frames = False, 4
    elif name == "denoise":
        model.film, made.data.noise_source = "encoder", "starter-noise"
    elif name == "encodec_stem":
        model.stem_stride = 4
    elif name == "encodec_48khz":
        model.causal, model.audio_channels = False, 2
        model.seanet.norm, model.normalize, model.segment_seconds = "group", True, 0.1
    elif name == "speechtokenizer":
        model.causal, model.seanet.bidirectional, model.semantic_dimension = False, True, 6
    elif name == "mimi":
        model.resample_stride, model.seanet.last_kernel_size = 2, 7
        model.transformer.layers, model.transformer.heads, model.transformer.hidden = 2, 2, 24
        model.transformer.context = 5
        quantizer.semantic, quantizer.projection = 1, 8
        model.gains_db = (1.0, 0.0, -1.0, 2.0)
    elif name == "dac":
        model.causal, model.weight_norm, model.strides = False, True, (2, 5)
        quantizer.projection = 4
    return made.validate()


@functools.cache
def codec(name: str) -> Codec:
    made = Codec.init_random(config(name), seed=3)
    if "embedding" not in made.codebook["quantizer"]:
        return made
    # Entries about as far from each other as the latent's vectors.
    encode = jax.jit(functools.partial(made.module.apply, method=CodecModel.encode_latent))
    latent = encode({"params": made.params, "codebook": made.codebook}, jnp.asarray(signal(made, 1, 64)))
    spread = float(np.std(np.asarray(latent)))
    books = dict(made.codebook["quantizer"])
    books["embedding"] = spread * books["embedding"] * 0.7 ** jnp.arange(4)[:, None, None]
    return Codec(made.config, jax.device_get(made.params), {"quantizer": books})


def signal(made: Codec, batch: int, frames: int, seed: int = 0) -> np.ndarray:
    """Noise whose loudness changes, float32 [batch, frames * hop, channels]."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0.02, 0.5, (batch, frames, 1)), made.config.hop, axis=1)
    shape = (batch, frames * made.config.hop, made.config.model.audio_channels)
    return (loudness * rng.standard_normal(shape)).astype(np.float32)
