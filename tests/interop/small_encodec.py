"""The small EnCodec models of tests/golden/make_encodec.py as codax holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from codax.codec.codec import Codec
from codax.codec.loading import from_weights
from codax.config import presets
from codax.interop import encodec

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(kind: str) -> dict[str, np.ndarray]:
    """Arrays of "24khz" or "48khz"."""
    with np.load(GOLDEN / f"encodec_{kind}.npz") as arrays:
        return dict(arrays)


def small_config(kind: str):
    """The config that matches the golden weights."""
    config = presets.encodec_24khz() if kind == "24khz" else presets.encodec_48khz()
    config.model.sample_rate = 2400
    config.model.channels, config.model.dimension, config.model.strides = 4, 16, (2, 3, 4)
    config.quantizer.num_quantizers, config.quantizer.codebook_size = 4, 32
    config.quantizer.kbps = (0.5, 1.0, 2.0)
    if kind == "48khz":
        config.model.segment_seconds = 0.3
    return config.validate()


def state_of(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The PyTorch state among golden arrays."""
    return {k.removeprefix("state/"): v for k, v in arrays.items() if k.startswith("state/")}


def small_codec(kind: str) -> Codec:
    """The golden model, imported."""
    config = small_config(kind)
    flat = encodec.to_codax(state_of(golden(kind)), config, encodec.NATIVE)
    return from_weights(flat, config, GOLDEN / f"encodec_{kind}.npz")


def lengths(arrays: dict[str, np.ndarray]) -> list[int]:
    """Lengths of the golden signals, samples."""
    return [int(k.removeprefix("audio/")) for k in arrays if k.startswith("audio/")]


def signal(arrays: dict[str, np.ndarray], length: int) -> np.ndarray:
    """The golden signals of a length, [batch, time, channels]."""
    return np.moveaxis(arrays[f"audio/{length}"], 1, 2)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
