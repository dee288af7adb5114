"""An open audio file, and the sample rates and channel counts that codax accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from codax.config.checks import MOST_CHANNELS, RATES
from codax.errors import CodaxError


class AudioError(CodaxError):
    """An audio file cannot be read or written; the message names the file and the reason."""


@dataclasses.dataclass
class Stream:
    """An open file; `chunks` yields float32 [time, channels] until its end.

    `frames` is exact, or None if only decoding can tell. Fewer than `at_least` frames mean a truncated file. `seek`
    makes `chunks` start at a frame.
    """

    rate: int
    channels: int
    frames: int | None
    at_least: int
    chunks: Callable[[int], Iterator[np.ndarray]]
    seek: Callable[[int], object] | None = None
    format: str = ""  # FFmpeg's name, if it reads the file


def out_of_range(rate: int, channels: int) -> str:
    """The reason to refuse a sample rate (Hz) or a number of channels, or "".

    A forged header may state any: a second at 1 Hz resampled to 48 kHz has 48,000 samples for each one of the file.
    """
    low, high = RATES
    if not low <= rate <= high:
        return f"sample rate {rate} Hz is not within {low} to {high} Hz"
    if not 1 <= channels <= MOST_CHANNELS:
        return f"{channels} channels are not within 1 to {MOST_CHANNELS}"
    return ""


def check_range(path: Path, rate: int, channels: int) -> None:
    """Raises `AudioError` if `out_of_range`."""
    if reason := out_of_range(rate, channels):
        raise AudioError(f"{path}: {reason}")


def equal_blocks(pieces: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Regroups a stream of arrays [time, ...] into blocks of `size`; the last one may be shorter, but not empty."""
    pending: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        pending.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = np.concatenate(pending)
        whole = count // size * size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        pending, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(pending)
