"""Blocks of codes to messages and back, with any model that says how frequent each code is.

A block is coded on its own, so damage ends with it. Blocks are coded side by side, a frame of all of them at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from codax.entropy import rans


class State(Protocol):
    """What a model knows after some frames of blocks that are coded side by side."""

    def cumulated(self) -> np.ndarray:
        """Cumulated frequencies of the next frame's codes: int64 [lanes, columns, symbols + 1]; see `rans.cumulate`."""
        ...

    def push(self, codes: np.ndarray) -> None:
        """Takes a frame of codes, integers [lanes, columns]."""
        ...


class Model(Protocol):
    """Gives the frequencies of codes; equal on every machine, or files will not decode there.

    Attributes:
      digest: 8 bytes that tell it from others.
    """

    digest: bytes

    @property
    def columns(self) -> int: ...

    def start(self, lanes: int) -> State:
        """The state at the beginning of so many blocks."""
        ...

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For whole blocks, integers [lanes, frames, columns]: where each code lies, as `state_intervals` gives it."""
        ...


def state_intervals(state: State, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the frequencies before each code, and its own: int64 [lanes, frames, columns] each; frame by frame."""
    starts, frequencies = np.zeros(codes.shape, np.int64), np.zeros(codes.shape, np.int64)
    for frame in range(codes.shape[1]):
        starts[:, frame], frequencies[:, frame] = rans.locate(state.cumulated(), codes[:, frame])
        state.push(codes[:, frame])
    return starts, frequencies


def encode_blocks(model: Model, blocks: Sequence[np.ndarray]) -> list[bytes]:
    """Messages of blocks of codes, integers [frames, columns] each."""
    counts = np.array([len(block) for block in blocks])
    codes = np.zeros((len(blocks), max(counts), model.columns), np.int64)
    for lane, block in enumerate(blocks):
        codes[lane, : len(block)] = block
    starts, frequencies = (x.reshape(len(blocks), -1).T for x in model.intervals(codes))
    return rans.encode(starts, frequencies, counts * model.columns)


def decode_blocks(model: Model, messages: Sequence[bytes], counts: Sequence[int]) -> list[np.ndarray | None]:
    """Blocks of `counts` frames each, int32 [frames, columns]; None for a message that no encoder wrote.

    Raises:
      RansError: a message of no whole length.
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
