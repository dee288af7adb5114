"""Codes with the format of their audio, and conversion of audio to and from the signals that a model codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from codax.audio import resample
from codax.audio.arrays import padded
from codax.audio.channels import ChannelMap
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
      mid_side: whether the two channels of the codes are mid and side, which become left and right.
      lengths, frames: int [clips], samples per channel and frames of each of several clips; `length` is that of the
        longest, and zeros follow the codes and scales of the others. None = all signals have `length`.
    """

    codes: np.ndarray
    length: int
    sample_rate: int
    channels: int = 1
    denoise: bool = False
    scales: np.ndarray | None = None
    lengths: np.ndarray | None = None
    frames: np.ndarray | None = None
    mid_side: bool = False

    def split(self) -> list[Tokens]:
        """Returns the tokens of each clip as it has them alone; those of one length stay together."""
        if self.lengths is None or self.frames is None:
            return [self]
        parts, streams = [], len(self.codes) // len(self.lengths)
        for i, (length, frames) in enumerate(zip(self.lengths, self.frames, strict=True)):
            rows = slice(i * streams, (i + 1) * streams)
            # A scale is positive, also that of silence.
            scales = None if self.scales is None else self.scales[rows, : np.count_nonzero(self.scales[rows][0])]
            codes = self.codes[rows, :frames]
            parts.append(
                dataclasses.replace(self, codes=codes, length=int(length), scales=scales, lengths=None, frames=None)
            )
        return parts


def from_clips(
    coded: Sequence[tuple[np.ndarray, np.ndarray | None]],
    clips: Sequence[np.ndarray],
    sample_rate: int,
    denoise: bool,
    mapped: ChannelMap,
) -> Tokens:
    """Returns the tokens of clips [batch, time, channels] with these (codes, scales); inverts `Tokens.split`."""
    codes, scales = [c for c, _ in coded], [s for _, s in coded if s is not None]
    lengths, joined = np.asarray([clip.shape[1] for clip in clips]), padded(scales) if scales else None
    length, channels = int(lengths.max()), mapped.restored
    tokens = Tokens(padded(codes), length, sample_rate, channels, denoise, joined, mid_side=mapped.mid_side)
    if len(clips) == 1:
        return tokens
    return dataclasses.replace(tokens, lengths=lengths, frames=np.asarray([part.shape[1] for part in codes]))


def to_signals(audio: np.ndarray, sample_rate: int, model: ModelConfig, mapped: ChannelMap) -> np.ndarray:
    """Converts audio [batch, time, channels] to the signals that a model codes, at its rate.

    Args:
      audio: float, of any rate and number of channels.
      sample_rate: rate of the audio, Hz.
      model: the codec's model section.
      mapped: the map of the channels.

    Returns:
      [batch, time, model channels], or [batch * channels, time, 1] for a mono model.

    Raises:
      CodaxError: the model has several channels and the audio has another number.
    """
    audio = mapped.forward(audio)
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
    coded = np.moveaxis(signals.reshape(-1, tokens.channels, tokens.length), 1, 2)
    return ChannelMap(tokens.channels, mid_side=tokens.mid_side).backward(coded)


def _resampled(signals: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    return signals if rate == new_rate else np.stack([resample(signal, rate, new_rate) for signal in signals])
