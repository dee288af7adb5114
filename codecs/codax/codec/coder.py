"""The protocol of all ways to code a signal, and the choice among them.

A causal model streams (`codec/streaming.py`). A model with a limited receptive field codes windows
(`codec/windows.py`). A model with segments codes them one by one, and any other model codes the whole signal as a
single segment (`codec/segments.py`). Codes and audio do not depend on how the signal is cut into pieces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from codax.audio import resampled_length
from codax.audio.arrays import padded
from codax.codec.engine import Engine
from codax.codec.segments import SegmentDecoder, SegmentEncoder
from codax.codec.streaming import StreamDecoder, StreamEncoder
from codax.codec.tokens import Tokens
from codax.codec.windows import WindowDecoder, WindowEncoder
from codax.runtime.platforms import platform


class Coder(Protocol):
    """One direction through a codec, for one batch of signals that arrive in pieces.

    Encoders map audio float32 [batch, time, channels] at the model's rate to codes int32
    [batch, frames, quantizers]; decoders map codes to audio. The concatenated results are those of the whole signal.
    """

    @property
    def scales(self) -> np.ndarray | None:
        """Scales of the segments so far, float32 [batch, segments]; None = the model does not normalise."""
        ...

    def push(self, piece: np.ndarray, /) -> np.ndarray:
        """Takes a piece of any length, including 0, and returns the results that are final: 0 or more frames."""
        ...

    def finish(self, piece: np.ndarray | None = None, /) -> np.ndarray:
        """Takes an optional last piece and returns the remaining results. No piece may follow."""
        ...


def encoder(engine: Engine, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False) -> Coder:
    """Returns the encoder that suits a model, for signals of any length in blocks.

    Args:
      engine: the model's engine.
      num_quantizers: levels of the codes; None = all.
      batch: number of signals.
      denoise: whether to remove noise.

    Raises:
      CodaxError: the model does not have this many quantizers, or was not trained to denoise.
    """
    make = StreamEncoder if engine.streams else WindowEncoder if engine.context_frames is not None else SegmentEncoder
    return make(engine, num_quantizers=num_quantizers, batch=batch, denoise=denoise)


def decoder(
    engine: Engine,
    *,
    length: int,
    frames: int,
    scales: np.ndarray | None = None,
    batch: int = 1,
    denoise: bool = False,
) -> Coder:
    """Returns the decoder for the codes of `encoder`.

    Args:
      engine: the model's engine.
      length: samples of each signal at the model's rate.
      frames: number of frames of each signal's codes.
      scales: the encoder's scales.
      batch: number of signals.
      denoise: whether to remove noise.

    Raises:
      CodaxError: length, frames and scales do not match, or the model was not trained to denoise.
    """
    if engine.streams:
        return StreamDecoder(engine, batch=batch, denoise=denoise)
    if engine.context_frames is not None:
        return WindowDecoder(engine, batch=batch, denoise=denoise)
    return SegmentDecoder(engine, length=length, frames=frames, scales=scales, batch=batch, denoise=denoise)


def encode(
    engine: Engine, clips: Sequence[np.ndarray], levels: int, denoise: bool
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Returns the codes and scales of clips [batch, time, channels] at the model's rate, as each has them alone.

    Raises as `encoder`.
    """

    def alone(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        make = encoder if _in_blocks() else SegmentEncoder
        coder = make(engine, num_quantizers=levels, batch=len(clip), denoise=denoise)
        return coder.finish(clip), coder.scales

    if not as_one_batch(engine, clips):
        return [alone(clip) for clip in clips]
    codes, _ = alone(padded(clips))
    rows = np.split(codes, np.cumsum([len(clip) for clip in clips])[:-1])
    return [(row[:, : -(-clip.shape[1] // engine.config.hop)], None) for row, clip in zip(rows, clips, strict=True)]


def decode(engine: Engine, parts: Sequence[Tokens]) -> list[np.ndarray]:
    """Inverts `encode`: returns the signals of tokens that are not joined. Raises as `decoder`."""

    def alone(part: Tokens) -> np.ndarray:
        make = decoder if _in_blocks() else SegmentDecoder
        codes, length = part.codes, resampled_length(part.length, part.sample_rate, engine.config.model.sample_rate)
        options = {"scales": part.scales, "batch": len(codes), "denoise": part.denoise}
        return make(engine, length=length, frames=codes.shape[1], **options).finish(codes)

    codes = [part.codes for part in parts]
    if not as_one_batch(engine, codes):
        return [alone(part) for part in parts]
    signals = alone(dataclasses.replace(parts[0], codes=padded(codes)))
    rows = np.split(signals, np.cumsum([len(part) for part in codes])[:-1])
    return [row[:, : part.shape[1] * engine.config.hop] for row, part in zip(rows, codes, strict=True)]


def as_one_batch(engine: Engine, clips: Sequence[np.ndarray]) -> bool:
    """Returns whether to code clips of unequal lengths as one padded batch.

    The padding cannot change what precedes it in a causal model whose layers do not pad the end themselves. Other
    shapes round differently, though, which decides between equally near entries; on a CPU, where a batch is not faster,
    each clip is coded alone and its codes are equal bit for bit.
    """
    return len(clips) > 1 and engine.streams and not engine.pads_inside and not _in_blocks()


def _in_blocks() -> bool:
    """Returns whether to code a whole signal in blocks: on a CPU, where the arrays of a block stay in its cache."""
    return platform() == "cpu"
