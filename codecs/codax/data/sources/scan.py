"""Measures audio files: their format, and whether they are usable for training.

Measuring requires decoding, so each file is measured once, by several threads, and the result is cached under the
file's path, size and modification time. The cache stores measurements, not decisions: thresholds may change between
runs. Files longer than a minute are measured from three excerpts; the last one reaches their end, to detect truncation.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.config import DataConfig
from codax.errors import CodaxError
from codax.runtime import cores
from codax.runtime.progress import Progress
from codax.storage.digests import sha256
from codax.storage.files import write_whole

_WHOLE_SECONDS = 60.0  # files up to this length are measured completely
_EXCERPT_SECONDS = 10.0
_FULL_SCALE = 32766.0 / 32768.0
_READER = "to the end"  # changes if audio files are read differently, so that they are measured again
NAMES_SHOWN = 3
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """`loudest_db` is the level of the loudest 50 ms in dB, `clipped` the fraction of samples at full scale.

    `error` is the reason why a file cannot be read; the other fields are then 0.
    """

    sample_rate: int = 0
    channels: int = 0
    frames: int = 0
    loudest_db: float = 0.0
    clipped: float = 0.0
    error: str = ""


class Skipped:
    """The names of skipped files by reason, reported in one warning."""

    def __init__(self) -> None:
        self.reasons: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self.reasons.setdefault(reason, []).append(name)

    def __len__(self) -> int:
        return sum(len(names) for names in self.reasons.values())

    def describe(self) -> str:
        """For example `5 files skipped: 3 silent (a.wav, b.wav, c.wav), 2 shorter than 0.3 s (d.wav, e.wav)`."""
        parts = []
        for reason, names in self.reasons.items():
            shown = ", ".join(names[:NAMES_SHOWN])
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            parts.append(f"{len(names)} {reason} ({shown}{more})")
        return f"{len(self)} {'file' if len(self) == 1 else 'files'} skipped: {', '.join(parts)}"

    def warn(self, source: str) -> None:
        if len(self):
            _log.warning("%s: %s", source, self.describe())


def measure(path: str) -> Measurement:
    """Measures one file; a damaged file gives a `Measurement` with an error."""
    try:
        about = audio.info(path)
        if about.seconds <= _WHOLE_SECONDS:
            parts: Iterable[np.ndarray] = [audio.read(path)[0]]
            frames = len(parts[0])
        else:
            size = int(_EXCERPT_SECONDS * about.rate)
            starts = (0, (about.frames - size) // 2, about.frames - size)
            parts = [audio.excerpt(path, start, size) for start in starts]
            frames = about.frames
            if len(parts[-1]) < size - about.rate // 2:
                raise audio.AudioError(f"{path}: truncated")
    except CodaxError as error:
        return Measurement(error=str(error).removeprefix(f"{path}: "))
    except (OSError, MemoryError) as error:
        return Measurement(error=str(error))
    loudest, clipped, total = 0.0, 0, 0
    for part in parts:
        loudest = max(loudest, _loudest_power(part, about.rate))
        clipped += int((np.abs(part) >= _FULL_SCALE).sum())
        total += part.size
    decibels = 10 * float(np.log10(max(loudest, 1e-20)))
    return Measurement(about.rate, about.channels, frames, round(decibels, 2), clipped / max(total, 1))


def _loudest_power(samples: np.ndarray, rate: int) -> float:
    """Mean square of the loudest 50 ms of [time, channels]."""
    size = max(1, min(len(samples), rate // 20))
    whole = len(samples) // size * size
    if whole == 0:
        return 0.0
    blocks = samples[:whole].reshape(-1, size * samples.shape[1])
    return float(np.einsum("ij,ij->i", blocks, blocks).max() / blocks.shape[1])


def unfit(measured: Measurement, config: DataConfig) -> str:
    """The reason to skip a measured file, or ""."""
    if measured.error:
        return "unreadable"
    if measured.frames < config.min_seconds * measured.sample_rate:
        return f"shorter than {config.min_seconds:g} s"
    if measured.loudest_db < config.silence_db:
        return "silent"
    if measured.clipped > config.max_clipped_fraction:
        return "clipped"
    return ""


def measure_all(paths: Sequence[str], cache: Path, *, name: str) -> list[Measurement]:
    """Measures files; unchanged files are taken from the cache.

    Args:
      paths: files.
      cache: folder of the cached measurements.
      name: of the source; each has a cache file of its own.
    """
    stamps = [file_stamp(path) for path in paths]
    store = cache / "scans" / f"{sha256(_READER, name).hexdigest()[:24]}.json"
    cached = _load(store)
    result: list[Measurement | None] = []
    for path, stamp in zip(paths, stamps, strict=True):
        known = cached.get(path)
        result.append(known[1] if known is not None and stamp and known[0] == stamp else None)
    missing = [i for i, measured in enumerate(result) if measured is None]
    if missing:
        with (
            Progress("measure audio", len(missing)) as progress,
            concurrent.futures.ThreadPoolExecutor(cores.usable()) as pool,
        ):
            for i, measured in zip(missing, pool.map(measure, [paths[i] for i in missing]), strict=True):
                result[i] = measured
                progress.advance()
        merged = dict(cached)
        merged.update({paths[i]: (stamps[i], result[i]) for i in missing if stamps[i]})  # pyright: ignore
        _save(store, merged)
    return [measured for measured in result if measured is not None]


def file_stamp(path: str) -> list[int]:
    """Size and modification time of a file, which change when it changes; [] if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _load(store: Path) -> dict[str, tuple[list[int], Measurement]]:
    try:
        values: Any = json.loads(store.read_text(encoding="utf-8"))
        return {path: (stamp, Measurement(*fields)) for path, (stamp, fields) in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(store: Path, values: dict[str, tuple[list[int], Measurement]]) -> None:
    """Caches measurements; failing to write the cache is not an error."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        rows = {path: [stamp, dataclasses.astuple(measured)] for path, (stamp, measured) in values.items()}
        write_whole(store, json.dumps(rows))
    except OSError as error:
        _log.warning("%s: measurements cannot be cached (%s)", store, error.strerror)
