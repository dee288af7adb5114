"""Teacher features stored beside the audio: computed once, read crop by crop.

Beside a shard `NAME.array_record` lies `NAME.features`, an ArrayRecord file with one record for each record of the
shard, in the same order: `CDF1`, frames and channels (uint32, little-endian), and float16 values [frames, channels] in
row-major order. `features.json` in the same folder identifies the teacher.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from codax import audio
from codax.config import Config
from codax.data import records
from codax.data.sources.entries import Entry
from codax.data.sources.spec import Source
from codax.errors import CodaxError
from codax.runtime.progress import Progress
from codax.storage import strict_json
from codax.storage.files import write_whole

SUFFIX = ".features"
NAME = "features.json"
_HEADER = struct.Struct("<4sII")
_MAGIC = b"CDF1"


@dataclasses.dataclass(frozen=True)
class About:
    """Identifies the teacher that stored features come from.

    Attributes:
      teacher: its name, for messages.
      sha256: of its weights, in hexadecimal.
      layer: index of the hidden layer; -1 = the mean over all layers.
      delay_seconds: delay of the network's features, already compensated.
      frame_rate: features per second.
      dimension: channels.
    """

    teacher: str
    sha256: str
    layer: int
    delay_seconds: float
    frame_rate: float
    dimension: int

    def write(self, folder: Path) -> None:
        """Writes `features.json`, or checks that an existing one is equal. Raises CodaxError."""
        path = folder / NAME
        if path.exists():
            if (existing := read_about(folder)) != self:
                raise CodaxError(f"{path}: holds other features, of {existing.teacher}, layer {existing.layer}")
            return
        try:
            write_whole(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        except OSError as error:
            raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_about(folder: Path) -> About:
    """Reads `features.json` of a folder. Raises CodaxError."""
    path = folder / NAME
    if not path.exists():
        raise CodaxError(f"{path}: no such file: make features with codax data build --teacher")
    fields = strict_json.read_object(path, "description of features")
    try:
        kinds = {
            "teacher": str,
            "sha256": str,
            "layer": int,
            "delay_seconds": float,
            "frame_rate": float,
            "dimension": int,
        }
        about = About(**{name: kind(fields[name]) for name, kind in kinds.items()})
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CodaxError(f"{path}: does not describe features ({error})") from error
    if not (about.frame_rate > 0 and about.dimension > 0):
        raise CodaxError(f"{path}: frame_rate and dimension must be positive")
    return about


def encode(values: np.ndarray) -> bytes:
    """Serialises features [frames, channels] as one record."""
    return _HEADER.pack(_MAGIC, *values.shape) + np.ascontiguousarray(values, "<f2").tobytes()


def decode(record: bytes) -> np.ndarray:
    """Features float16 [frames, channels] of a record. Raises ValueError."""
    if len(record) < _HEADER.size:
        raise ValueError("record is too short")
    magic, frames, channels = _HEADER.unpack_from(record)
    if magic != _MAGIC or len(record) != _HEADER.size + 2 * frames * channels:
        raise ValueError("record does not hold features")
    return np.frombuffer(record, "<f2", offset=_HEADER.size).reshape(frames, channels)


def beside(shard: str) -> Path:
    """Path of the feature file of a shard."""
    return Path(shard).with_suffix(SUFFIX)


def build(shards: Iterable[str], teacher: Callable[[np.ndarray], np.ndarray], sample_rate: int) -> int:
    """Computes the features of all shards that have none yet.

    Args:
      shards: paths.
      teacher: maps mono audio float32 [time] to features [frames, channels].
      sample_rate: of the teacher, in Hz; audio at other rates is resampled.

    Returns:
      The number of files written.

    Raises:
      CodaxError: a shard cannot be read, or the disk is full. Finished files are kept.
    """
    missing = [shard for shard in shards if not _finished(shard)]
    with Progress("features", sum(len(records.open_shard(shard)) for shard in missing), unit="records") as progress:
        for path in missing:
            shard = records.open_shard(path)
            with records.ShardWriter(beside(path)) as writer:
                for index in range(len(shard)):
                    signal = shard.read(index).mean(axis=1, keepdims=True)
                    signal = audio.resample(signal, shard.header(index)["sample_rate"], sample_rate)
                    writer.append(encode(teacher(signal[:, 0])))
                    progress.advance()
    return len(missing)


def _finished(shard: str) -> bool:
    path = beside(shard)
    return path.exists() and len(records.Shard(path)) == len(records.open_shard(shard))


class Features:
    """Reads the features stored beside the audio of a source's examples.

    Attributes:
      about: identifies the teacher.
    """

    def __init__(self, entries: Iterable[Entry], spec: str) -> None:
        """Checks that all examples have features.

        Args:
          entries: the examples.
          spec: their source, for error messages.

        Raises:
          CodaxError: the audio is not in shards, a file is missing or damaged, or the folders have different teachers.
        """
        shards = {}
        for entry in entries:
            if entry.record < 0:
                raise CodaxError(f"{spec}: {entry.file} is no shard: make shards with codax data build --teacher")
            shards[entry.file] = None
        folders = sorted({Path(file).parent for file in shards})
        self.about = read_about(folders[0])
        for folder in folders[1:]:
            if read_about(folder) != self.about:
                raise CodaxError(f"{spec}: {folders[0]} and {folder} hold features of different teachers")
        for file in shards:
            path = beside(file)
            if not path.exists():
                raise CodaxError(f"{path}: no such file: the features of {Path(file).name} are missing")
            count = len(records.open_shard(str(path)))
            if count != len(records.open_shard(file)):
                raise CodaxError(f"{path}: has {count} records, {Path(file).name} {len(records.open_shard(file))}")

    def read(self, entry: Entry, start: int, frames: int) -> np.ndarray:
        """Features float32 [frames, channels] of an example from frame `start` on.

        The last frame is repeated beyond the end. A recording that is too short for the teacher gives zeros.

        Raises:
          CodaxError: damaged record.
        """
        path = beside(entry.file)
        values = records.open_shard(str(path)).parse(entry.record, decode)
        if values.shape[1] != self.about.dimension:
            raise CodaxError(
                f"{path}: record {entry.record} has {values.shape[1]} channels, not {self.about.dimension}"
            )
        if not len(values):
            return np.zeros((frames, self.about.dimension), np.float32)
        return values[np.minimum(np.arange(start, start + frames), len(values) - 1)].astype(np.float32)


def features_for(config: Config, source: Source) -> Features | None:
    """The features stored beside a source's audio, or None if the recipe does not use them.

    They are used for distillation with `teacher.source` "precomputed".

    Raises:
      CodaxError: as `Features`, or the features do not fit the codec.
    """
    if not (config.teacher.precomputed and config.loss.distillation):
        return None
    features = Features(source, source.spec)
    about, expected = features.about, (config.frame_rate, config.model.semantic_dimension)
    if (about.frame_rate, about.dimension) != expected:
        raise CodaxError(
            f"{source.spec}: its features of {about.teacher} have {about.dimension} channels at {about.frame_rate:g} "
            f"per second; the codec has {config.frame_rate:g} frames and a semantic_dimension of {expected[1]}"
        )
    return features
