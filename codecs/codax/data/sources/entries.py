"""One example of a source, described without its samples, and functions that read the samples."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from codax import audio
from codax.data import records

# Context on both sides of a resampled crop, in frames of the lower rate; soxr's HQ filter is shorter than this.
_CONTEXT = 192


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An audio file, or a record of a shard (`record` >= 0), with `frames` samples per channel at `sample_rate` Hz."""

    id: str
    file: str
    sample_rate: int
    channels: int
    frames: int
    record: int = -1
    split: str = ""
    language: str = ""
    speaker: str = ""
    text: str = ""
    licence: str = ""

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate

    def row(self) -> dict[str, Any]:
        """The entry as a row of a manifest."""
        return dataclasses.asdict(self)


def read(entry: Entry, start: int = 0, frames: int | None = None) -> np.ndarray:
    """Samples float32 [time, channels] at the entry's own rate: at most `frames` frames from `start` on.

    Raises:
      CodaxError: the file is missing or damaged.
    """
    if entry.record >= 0:
        return records.open_shard(entry.file).read(entry.record, start, frames)
    return audio.excerpt(entry.file, start, frames)


def read_at(
    entry: Entry,
    sample_rate: int,
    start: int = 0,
    frames: int | None = None,
    reader: Callable[[Entry, int, int | None], np.ndarray] = read,
) -> np.ndarray:
    """As `read`, resampled; `start` and `frames` count at `sample_rate` Hz.

    Only the required samples are read, with `reader`. The result may be one frame shorter than requested.
    """
    if entry.sample_rate == sample_rate:
        return reader(entry, start, frames)
    if frames is None and start == 0:
        return audio.resample(reader(entry, 0, None), entry.sample_rate, sample_rate)
    # The excerpt starts where the two sampling grids coincide, so that every excerpt equals a slice of the whole.
    step_source = entry.sample_rate // np.gcd(entry.sample_rate, sample_rate)
    step_target = sample_rate // np.gcd(entry.sample_rate, sample_rate)
    scale = entry.sample_rate / min(entry.sample_rate, sample_rate)
    context = int(_CONTEXT * scale) + 1
    first = max(0, int(start * entry.sample_rate / sample_rate) - context) // step_source * step_source
    offset = start - first // step_source * step_target
    count = None
    if frames is not None:
        count = int((offset + frames) * entry.sample_rate / sample_rate) + context
    out = audio.resample(reader(entry, first, count), entry.sample_rate, sample_rate)
    return out[offset:] if frames is None else out[offset : offset + frames]


def relative_id(path: str) -> str:
    """Makes an id from a relative path: drops the extension, replaces characters that file names cannot have."""
    stem = os.path.splitext(path)[0]
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem.replace(os.sep, "-")).strip("-.") or "audio"
