"""Codes of audio with what decoding needs, and audio of any rate and channels as the signals that a model codes."""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.audio import resample
from codax.config import ModelConfig
from codax.errors import CodaxError


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Codes of a batch of signals, with what decoding needs to give back the original shape.

    Attributes:
      codes: int32 [batch, frames, quantizers]. A model of one channel codes every channel of the input as a signal
        of its own: the batch is then [batch * channels], channels of one signal side by side.
      length: samples per channel of the original.
      sample_rate: of the original, Hz.
      channels: of the original.
      denoise: whether denoising was asked for; models that condition their decoder need it there too.
      scales: float32 [batch, segments], what each segment was divided by, of models that normalise; the segments'
        frames then follow each other in `codes`.
    """

    codes: np.ndarray
    length: int
    sample_rate: int
    channels: int = 1
    denoise: bool = False
    scales: np.ndarray | None = None


def to_signals(audio: np.ndarray, sample_rate: int, model: ModelConfig) -> np.ndarray:
    """Audio [batch, time, channels] as the signals that a model codes, at its rate.

    Args:
      audio: of any rate and number of channels.
      sample_rate: of the audio, Hz.
      model: of the codec.

    Returns:
      [batch, time, model channels], or [batch * channels, time, 1] of a mono model.

    Raises:
      CodaxError: a model of several channels, and audio with another number of channels.
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
    """The inverse of `to_signals`: decoded signals as audio of the tokens' rate, length and channels."""
    signals = _resampled(signals, model.sample_rate, tokens.sample_rate)
    missing = max(0, tokens.length - signals.shape[1])
    signals = np.pad(signals, ((0, 0), (0, missing), (0, 0)))[:, : tokens.length]
    if signals.shape[2] == tokens.channels:
        return signals
    return np.moveaxis(signals.reshape(-1, tokens.channels, tokens.length), 1, 2)


def _resampled(signals: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    return signals if rate == new_rate else np.stack([resample(signal, rate, new_rate) for signal in signals])
