"""The one protocol of all ways to code a signal, and the one place that chooses among them.

A causal model streams (`codec/streaming.py`). One with a limited receptive field takes windows (`codec/windows.py`).
One that works in segments takes them one by one, and any other needs the whole signal, as a single segment
(`codec/segments.py`). All give the same codes and audio for every way to cut a signal into pieces.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from codax.codec.engine import Engine
from codax.codec.segments import SegmentDecoder, SegmentEncoder
from codax.codec.streaming import StreamDecoder, StreamEncoder
from codax.codec.windows import WindowDecoder, WindowEncoder
from codax.runtime.platforms import platform


class Coder(Protocol):
    """One direction through a codec, for one batch of signals that arrive in pieces.

    Encoders take audio float32 [batch, time, channels] at the model's rate and give codes int32
    [batch, frames, quantizers]; decoders take codes and give audio. All results joined are those of the whole signal.
    """

    @property
    def scales(self) -> np.ndarray | None:
        """float32 [batch, segments], what each segment so far was divided by; None = the model does not normalise."""
        ...

    def push(self, piece: np.ndarray, /) -> np.ndarray:
        """Takes a piece of any length, also 0, and gives what is certain now: 0 or more frames."""
        ...

    def finish(self, piece: np.ndarray | None = None, /) -> np.ndarray:
        """Takes a last piece, if there is one, and gives the rest. The coder takes no more."""
        ...


def encoder(engine: Engine, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False) -> Coder:
    """The encoder that suits a model, for signals of any length in blocks.

    Args:
      engine: of the model.
      num_quantizers: levels of the codes; None = all.
      batch: signals side by side.
      denoise: the denoising switch.

    Raises:
      CodaxError: a rate that the model does not have, or denoising that it was not trained for.
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
    """The decoder for the codes of `encoder`.

    Args:
      engine: of the model.
      length: of the signals, samples at the model's rate.
      frames: of all their codes.
      scales: as the encoder's.
      batch: signals side by side.
      denoise: the denoising switch.

    Raises:
      CodaxError: length, frames and scales do not fit each other, or denoising that the model was not trained for.
    """
    if engine.streams:
        return StreamDecoder(engine, batch=batch, denoise=denoise)
    if engine.context_frames is not None:
        return WindowDecoder(engine, batch=batch, denoise=denoise)
    return SegmentDecoder(engine, length=length, frames=frames, scales=scales, batch=batch, denoise=denoise)


def encode(engine: Engine, signals: np.ndarray, levels: int, denoise: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes and scales of whole signals [batch, time, channels] at the model's rate. Raises CodaxError as `encoder`."""
    make = encoder if _in_blocks() else SegmentEncoder
    coder = make(engine, num_quantizers=levels, batch=len(signals), denoise=denoise)
    return coder.finish(signals), coder.scales


def decode(engine: Engine, codes: np.ndarray, scales: np.ndarray | None, length: int, denoise: bool) -> np.ndarray:
    """The inverse of `encode`, for signals of `length` samples. Raises CodaxError as `decoder`."""
    make = decoder if _in_blocks() else SegmentDecoder
    coder = make(engine, length=length, frames=codes.shape[1], scales=scales, batch=len(codes), denoise=denoise)
    return coder.finish(codes)


def _in_blocks() -> bool:
    """Is a whole signal coded in blocks too? On a CPU, where the arrays of a block stay in its cache."""
    return platform() == "cpu"
