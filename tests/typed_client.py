"""A client of the library, whose types pyright checks: what users write must be typed, and is not run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import codax
import jax
import jax.numpy as jnp
import numpy as np


def use(folder: Path) -> np.ndarray:
    """Calls everything that the package names."""
    codec = codax.load("soundstream-speech")
    assert_type(codec, codax.Codec)
    assert_type(codec.sample_rate, int)
    assert_type(codec.frame_rate, float)
    assert_type(codec.codebooks, int)
    assert_type(codec.kbps, tuple[float, ...])
    assert_type(codec.config, codax.Config)

    tokens = codec.encode(np.zeros(16_000), sample_rate=16_000, kbps=6)
    assert_type(tokens, codax.Tokens)
    assert_type(tokens.length, int)
    arrays: list[jax.Array | np.ndarray] = [jnp.zeros(16_000), np.zeros((1, 16_000, 1), np.int16)]
    for array in arrays:
        tokens = codec.encode(array, channels="mix")
    codec.encode([np.zeros(800), np.zeros(900)])
    assert_type(codec.decode(tokens), np.ndarray)
    codec.decode(tokens.codes)
    codec.decode(jnp.asarray(tokens.codes))

    report = codax.encode_file(folder / "in.wav", folder / "out.codax", model=codec, entropy="adaptive")
    assert_type(report.seconds, float)
    assert_type(report.kbps, float)
    codax.decode_file(folder / "out.codax", "out.wav", model=codec)
    codec.save(folder / "copy", half=True)
    encoder, decoder = codec.stream(num_quantizers=2)
    return decoder.push(encoder.push(np.zeros((1, 320, 1), np.float32)))
