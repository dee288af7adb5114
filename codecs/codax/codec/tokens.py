"""Codes with the format of their audio, and conversion of audio to and from the signals that a model codes."""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.audio import resample
from codax.config import ModelConfig
from codax.errors import CodaxError


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Codes of a batch of signals, with the shape and rate to restore in decoding.

    Attributes:
      codes: int32 [batch, frames, quantizers]. A mono model codes every channel of the input as a separate signal:
        the batch is then [batch * channels], with the channels of one recording in sequence.
      length: samples per channel of the original.
      sample_rate: rate of the original, Hz.
      channels: number of channels of the original.
      denoise: whether noise was removed; models that condition their decoder need it in decoding too.
      scales: float32 [batch, segments], by which a model that normalises divided each segment; `codes` has the
        segments' frames in sequence.
    """

    codes: np.ndarray
    length: int
    sample_rate: int
    channels: int = 1
    denoise: bool = False
    scales: np.ndarray | None = None


def to_signals(audio: np.ndarray, sample_rate: int, model: ModelConfig) -> np.ndarray:
    """Converts audio [batch, time, channels] to the signals that a model codes, at its rate.

    Args:
      audio: float, of any rate and number of channels.
      sample_rate: rate of the audio, Hz.
      model: the codec's model section.

    Returns:
      [batch, time, model channels], or [batch * channels, time, 1] for a mono model.

    Raises:
      CodaxError: the model has several channels and the audio has another number.
    """
    channels = audio.shape[2]
    if channels == model.audio_channels:
        signals = audio
    elif model.audio_channels == 1:
        signals = np.moveaxis(audio, 2, 1).reshape(-1, audio.shape[1], 1)
    else:
        raise CodaxError(f"the model codes {model.audio_channels} channels, the audio has {channels}")
    return _resampled(signals, sample_rate, model.sample_rate)


def from_signals(signals: np.ndarray, tokens: Tokens, model: ModelConfig) -> np.ndarray:
    """Inverts `to_signals`: converts decoded signals to audio of the tokens' rate, length and channels."""
    signals = _resampled(signals, model.sample_rate, tokens.sample_rate)
    missing = max(0, tokens.length - signals.shape[1])
    signals = np.pad(signals, ((0, 0), (0, missing), (0, 0)))[:, : tokens.length]
    if signals.shape[2] == tokens.channels:
        return signals
    return np.moveaxis(signals.reshape(-1, tokens.channels, tokens.length), 1, 2)


def _resampled(signals: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    return signals if rate == new_rate else np.stack([resample(signal, rate, new_rate) for signal in signals])
