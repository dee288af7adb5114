"""Codes with the format of their audio, and conversion of audio to and from the signals that a model codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codax.audio import resample
from codax.audio.arrays import padded
from codax.audio.channels import ChannelMap
from codax.config import ModelConfig
from codax.errors import CodaxError
from codax.storage.files import write_whole
from codax.storage.tensors import read_safetensors, safetensors_bytes

_HASH = "model_hash"  # array in a file of tokens


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

    def save(self, path: str | Path, *, model_hash: bytes = b"") -> None:
        """Writes a safetensors file of the codes and all other fields; the file is replaced atomically.

        Args:
          path: of the file.
          model_hash: `codec.hash` of the model of the codes, if known.

        Raises:
          CodaxError: the file cannot be written.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
        for name, value in arrays.items():
            if name != "scales":
                arrays[name] = value.astype(
                    np.int16 if name == "codes" and value.max(initial=0) < 1 << 15 else np.int64
                )
        if model_hash:
            arrays[_HASH] = np.frombuffer(model_hash, np.uint8)
        try:
            write_whole(Path(path), safetensors_bytes(arrays))
        except OSError as error:
            raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error

    @staticmethod
    def load(path: str | Path, *, model_hash: bytes = b"") -> Tokens:
        """Reads a file of `save`.

        Args:
          path: of the file.
          model_hash: `codec.hash` of the model that will decode the codes; it is compared if the file has one.

        Raises:
          CodaxError: missing, damaged or not a file of tokens, or the codes are another model's.
        """
        arrays = read_safetensors(Path(path))
        stated = arrays.pop(_HASH, np.zeros(0, np.uint8)).tobytes()
        try:
            tokens = _from_arrays(arrays)
        except ValueError as error:
            raise CodaxError(f"{path}: not a file of tokens ({error})") from error
        if stated and model_hash and stated != model_hash:
            raise CodaxError(f"{path}: has tokens of the model with hash {stated.hex():.40}, not {model_hash.hex()}")
        return tokens


def _from_arrays(arrays: dict[str, np.ndarray]) -> Tokens:
    """Returns tokens of the arrays of a file. Raises ValueError: some are missing or do not fit together."""
    fields = {field.name for field in dataclasses.fields(Tokens)}
    if unknown := sorted(set(arrays) - fields):
        raise ValueError(f"unknown array {unknown[0]:.40}")
    if missing := sorted(fields - set(arrays) - {"scales", "lengths", "frames"}):
        raise ValueError(f"no array {missing[0]}")
    codes, scales, lengths, frames = (arrays.get(name) for name in ("codes", "scales", "lengths", "frames"))
    numbers = {name: int(value) for name, value in arrays.items() if value.shape == () and value.dtype.kind == "i"}
    values = {name: numbers.get(name, 0) for name in ("length", "sample_rate", "channels")}
    flags = {name: bool(numbers.get(name, 0)) for name in ("denoise", "mid_side")}
    if min(values.values()) < 1:
        raise ValueError("length, sample_rate and channels must be integers from 1 on")
    if codes is None or codes.ndim != 3 or not codes.size or codes.dtype.kind != "i" or codes.min() < 0:
        raise ValueError("codes must be integers [batch, frames, quantizers] from 0 on")
    if codes.max() >= 1 << 31:
        raise ValueError("a code is larger than 32 bits")
    if scales is not None and (scales.dtype != np.float32 or scales.ndim != 2 or len(scales) != len(codes)):
        raise ValueError("scales must be float32 [batch, segments]")
    if scales is not None and not (np.isfinite(scales) & (scales >= 0)).all():
        raise ValueError("a scale is negative or not finite")
    if (lengths is None) != (frames is None):
        raise ValueError("lengths and frames must occur together")
    for name, each, most in (("lengths", lengths, values["length"]), ("frames", frames, codes.shape[1])):
        clips = each is None or (each.ndim == 1 and each.size and each.dtype.kind == "i")
        if not clips or (each is not None and (each.min() < 1 or each.max() > most or len(codes) % len(each))):
            raise ValueError(f"{name} must be integers [clips] from 1 to {most}")
    if lengths is not None and frames is not None and len(lengths) != len(frames):
        raise ValueError("lengths and frames are of different numbers of clips")
    return Tokens(codes.astype(np.int32), **values, **flags, scales=scales, lengths=lengths, frames=frames)


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
