"""Entropy coding of blocks of codes with any model of code frequencies.

Each block is coded independently, so that damage does not spread. Blocks are coded in parallel, frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from codax.entropy import rans


class State(Protocol):
    """State of a model after some frames of blocks that are coded in parallel."""

    def cumulated(self) -> np.ndarray:
        """Cumulative frequencies of the next frame: int64 [lanes, columns, symbols + 1]; see `rans.cumulate`."""
        ...

    def push(self, codes: np.ndarray) -> None:
        """Updates the state with a frame of codes, integers [lanes, columns]."""
        ...


class Model(Protocol):
    """Gives code frequencies, which must be identical on every machine that decodes.

    Attributes:
      digest: 8 bytes that identify the model.
    """

    digest: bytes

    @property
    def columns(self) -> int: ...

    def start(self, lanes: int) -> State:
        """The initial state of `lanes` blocks."""
        ...

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval of each code of whole blocks, integers [lanes, frames, columns]; see `state_intervals`."""
        ...


def state_intervals(state: State, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and frequency of each code, computed frame by frame: int64 [lanes, frames, columns] each."""
    starts, frequencies = np.zeros(codes.shape, np.int64), np.zeros(codes.shape, np.int64)
    for frame in range(codes.shape[1]):
        starts[:, frame], frequencies[:, frame] = rans.locate(state.cumulated(), codes[:, frame])
        state.push(codes[:, frame])
    return starts, frequencies


def encode_blocks(model: Model, blocks: Sequence[np.ndarray]) -> list[bytes]:
    """Encodes blocks of codes, integers [frames, columns] each, as one message per block."""
    counts = np.array([len(block) for block in blocks])
    codes = np.zeros((len(blocks), max(counts), model.columns), np.int64)
    for lane, block in enumerate(blocks):
        codes[lane, : len(block)] = block
    starts, frequencies = (x.reshape(len(blocks), -1).T for x in model.intervals(codes))
    return rans.encode(starts, frequencies, counts * model.columns)


def decode_blocks(model: Model, messages: Sequence[bytes], counts: Sequence[int]) -> list[np.ndarray | None]:
    """Decodes blocks of `counts` frames each, int32 [frames, columns]; None for an invalid message.

    Raises:
      RansError: the length of a message is invalid.
    """
    if not messages:
        return []
    decoder, state = rans.Decoder(list(messages)), model.start(len(messages))
    frames = np.asarray(counts)
    codes = np.zeros((len(messages), max(counts), model.columns), np.int32)
    for frame in range(codes.shape[1]):
        cumulated = state.cumulated()
        for column in range(model.columns):
            codes[:, frame, column] = decoder.step(cumulated[:, column], frame < frames)
        state.push(codes[:, frame])
    return [codes[i, :n] if fine else None for i, (n, fine) in enumerate(zip(counts, decoder.intact(), strict=True))]
