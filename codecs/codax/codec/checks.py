"""Checks of arguments against a codec's config, before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from codax.config import Config
from codax.errors import CodaxError


def checked_audio(audio: Any) -> np.ndarray:
    """Returns audio as float32 [batch, time, channels]. Raises CodaxError if it is empty, not finite or misshapen."""
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 3 or 0 in audio.shape:
        raise CodaxError(f"audio must be [batch, time, channels] and not empty, got shape {audio.shape}")
    if not np.isfinite(audio).all():
        raise CodaxError("audio has values that are not finite")
    return audio


def checked_denoise(config: Config, denoise: bool) -> bool:
    """Returns `denoise`. Raises CodaxError if it is true and the model was not trained to denoise."""
    if denoise and config.model.film == "none":
        raise CodaxError(f"model {config.name} was not trained to denoise")
    return denoise


def checked_levels(config: Config, levels: int | None) -> int:
    """Returns `levels`, or all for None. Raises CodaxError if the model has fewer quantizers."""
    most = config.quantizer.num_quantizers
    if levels is None:
        return most
    if not 1 <= levels <= most:
        raise CodaxError(f"{levels} quantizers: the model has 1 to {most}")
    return levels


def checked_codes(config: Config, codes: Any, batch: int | None = None) -> np.ndarray:
    """Returns codes as int32 [batch, frames, quantizers]. Raises CodaxError if the model cannot decode them."""
    quantizer = config.quantizer
    codes = np.asarray(codes, np.int32)
    has_shape = codes.ndim == 3 and 1 <= codes.shape[2] <= quantizer.num_quantizers
    if not has_shape or (batch is not None and codes.shape[0] != batch):
        expected = f"[{'batch' if batch is None else batch}, frames, 1 to {quantizer.num_quantizers}]"
        raise CodaxError(f"codes must be {expected}, got {codes.shape}")
    if codes.size and not (codes.min() >= 0 and codes.max() < quantizer.codebook_size):
        raise CodaxError(f"codes must lie in 0 to {quantizer.codebook_size - 1}")
    return codes
