"""Checks of arguments against a codec's config, before any work."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from codax.audio.arrays import as_array, as_batch, as_chunk, as_codes, as_rate, as_signal
from codax.audio.resampling import resampled_length
from codax.codec.tokens import Tokens
from codax.config import Config
from codax.errors import CodaxError


def checked_clips(audio: Any, lengths: Any = None) -> list[np.ndarray]:
    """Returns audio as clips float32 [batch, time, channels] that are coded independently of each other.

    An array is a single clip, whose signals have one length.

    Args:
      audio: as in `Codec.encode`.
      lengths: the samples of each item of `audio`, if later ones are padding.

    Raises:
      CodaxError: audio or lengths are invalid, or the clips differ in their number of channels.
    """
    if lengths is None and not _is_list_of_arrays(audio):
        return [as_batch(audio)]
    audio = audio if isinstance(audio, list | tuple) else as_array("audio", audio)
    if isinstance(audio, np.ndarray) and audio.ndim != 3:
        raise CodaxError(f"lengths need audio [batch, time, channels] or a list, got shape {audio.shape}")
    items = [as_array("audio", item) for item in audio]
    clips = []
    for i, (item, length) in enumerate(zip(items, _checked_lengths(lengths, items), strict=True)):
        try:
            clips.append(as_signal(item[:length])[None])
        except CodaxError as error:
            raise CodaxError(f"clip {i}: {error}") from error
        if clips[i].shape[2] != clips[0].shape[2]:
            raise CodaxError(f"clip {i} has {clips[i].shape[2]} channels, the first has {clips[0].shape[2]}")
    return clips


def _is_list_of_arrays(audio: Any) -> bool:
    return isinstance(audio, list | tuple) and bool(audio) and all(getattr(item, "shape", ()) for item in audio)


def _checked_lengths(lengths: Any, items: list[np.ndarray]) -> list[int]:
    longest = [item.shape[0] if item.ndim else 0 for item in items]
    if lengths is None:
        return longest
    lengths = as_array("lengths", lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (len(items),) or not len(items):
        raise CodaxError(f"lengths must be {len(items)} integers, got {lengths.dtype} of shape {lengths.shape}")
    if (lengths < 1).any() or (lengths > longest).any():
        raise CodaxError(f"lengths must lie in 1 to {max(longest)}, the samples of the audio, got {lengths.tolist()}")
    return lengths.tolist()


def checked_rate(config: Config, rate: Any) -> int:
    """Returns the rate of audio in Hz, the model's for None. Raises CodaxError if it cannot be one."""
    own = config.model.sample_rate
    return own if rate is None or rate == own else as_rate(rate)


def checked_piece(config: Config, audio: Any, batch: int) -> np.ndarray:
    """Returns the next samples of a stream, float32 [batch, time, channels]. Raises CodaxError as `as_chunk`."""
    return as_chunk(audio, batch=batch, channels=config.model.audio_channels)


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


def chosen_levels(config: Config, kbps: float | None, levels: int | None) -> int:
    """Returns the number of quantizers of a bit rate or of `levels`; all without both. Raises CodaxError for both."""
    if levels is not None and kbps is not None:
        raise CodaxError(f"kbps = {kbps:g} and num_quantizers = {levels}: give one of them")
    return config.quantizers_for(kbps) if levels is None else levels


def checked_codes(config: Config, codes: Any, batch: int | None = None, **expected: Any) -> np.ndarray:
    """Returns codes as int32 [batch, frames, quantizers]. Raises CodaxError as `as_codes` with `expected`."""
    quantizer = config.quantizer
    return as_codes(codes, quantizer.codebook_size, quantizer.num_quantizers, batch=batch, **expected)


def checked_next(config: Config, codes: Any, batch: int, held: np.ndarray | None) -> np.ndarray:
    """Returns `checked_codes`. Raises CodaxError also if `held`, which wait for these, have other quantizers."""
    codes = checked_codes(config, codes, batch)
    if held is not None and held.shape[2] != codes.shape[2]:
        raise CodaxError(f"codes of {codes.shape[2]} quantizers cannot continue codes of {held.shape[2]}")
    return codes


def checked_semantic(config: Config, codes: Any) -> np.ndarray:
    """Returns `checked_codes`. Raises CodaxError also if the model has no head for features."""
    if not config.model.semantic_dimension:
        raise CodaxError(f"model {config.name} was not distilled: it has no semantic features")
    return checked_codes(config, codes)


def checked_parts(config: Config, tokens: Any) -> list[Tokens]:
    """Returns the clips of tokens (`Tokens.split`), or of an array of codes [batch, frames, quantizers].

    An array is decoded to whole frames at the model's rate.

    Raises:
      CodaxError: the codes, length, rate or channels are invalid, or the model needs more than an array.
    """
    model, codes = config.model, checked_codes(config, tokens.codes if isinstance(tokens, Tokens) else tokens)
    if not codes.size:
        raise CodaxError(f"codes must not be empty, got shape {codes.shape}")
    if not isinstance(tokens, Tokens):
        if config.segment[0] or model.normalize:
            raise CodaxError(f"model {config.name} codes segments: decode its Tokens, which have the length and scales")
        return [Tokens(codes, codes.shape[1] * config.hop, model.sample_rate, model.audio_channels)]
    rate, channels = checked_rate(config, tokens.sample_rate), tokens.channels
    clips = 1 if tokens.lengths is None else len(tokens.lengths)
    streams = clips if channels == model.audio_channels else clips * channels
    if streams < 1 or model.audio_channels not in (1, channels) or len(codes) % streams:
        raise CodaxError(f"codes of {len(codes)} signals are not those of {clips} x {channels} channels")
    if tokens.mid_side and (channels, model.audio_channels) != (2, 1):
        raise CodaxError(f"codes of {channels} channels, {model.audio_channels} in a signal, are not mid and side")
    parts = dataclasses.replace(tokens, codes=codes, sample_rate=rate).split()
    for part in parts:
        frames = part.codes.shape[1]
        if not 0 <= resampled_length(part.length, rate, model.sample_rate) <= frames * config.hop:
            raise CodaxError(f"{frames} frames of codes: too few for {part.length} samples at {rate} Hz")
    return parts
