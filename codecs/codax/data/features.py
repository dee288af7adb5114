"""Features of a teacher beside the audio that they are of: computed once, read crop by crop.

Beside a shard `NAME.array_record` lies `NAME.features`, an ArrayRecord file with as many records in the same order:
`CDF1`, frames and channels (uint32, little-endian), and the values as float16, frame after frame. `features.json` in
their folder tells which teacher they come from.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import uuid
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
from codax.storage.files import write_whole

SUFFIX = ".features"
NAME = "features.json"
_HEADER = struct.Struct("<4sII")
_MAGIC = b"CDF1"


@dataclasses.dataclass(frozen=True)
class About:
    """What features come from.

    Attributes:
      teacher: its name, for people.
      sha256: of its weights, in hexadecimal.
      layer: of its states; -1 = their mean.
      delay_seconds: by which its network's features came late; undone.
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
        """Notes it in a folder, or makes sure that the same is noted there already. Raises CodaxError."""
        path = folder / NAME
        if path.exists():
            if (found := read_about(folder)) != self:
                raise CodaxError(f"{path}: other features are there already, of {found.teacher}, layer {found.layer}")
            return
        try:
            write_whole(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        except OSError as error:
            raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_about(folder: Path) -> About:
    """What the features in a folder come from. Raises CodaxError."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kinds = {
            "teacher": str,
            "sha256": str,
            "layer": int,
            "delay_seconds": float,
            "frame_rate": float,
            "dimension": int,
        }
        about = About(**{name: kind(found[name]) for name, kind in kinds.items()})
    except FileNotFoundError as error:
        raise CodaxError(f"{path}: no such file: make features with codax data build --teacher") from error
    except (OSError, ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise CodaxError(f"{path}: does not describe features ({error})") from error
    if not (about.frame_rate > 0 and about.dimension > 0):
        raise CodaxError(f"{path}: frame_rate and dimension must be positive")
    return about


def encode(values: np.ndarray) -> bytes:
    """One record of values [frames, channels]."""
    return _HEADER.pack(_MAGIC, *values.shape) + np.ascontiguousarray(values, "<f2").tobytes()


def decode(record: bytes) -> np.ndarray:
    """Values float16 [frames, channels] of a record. Raises ValueError."""
    if len(record) < _HEADER.size:
        raise ValueError("record is too short")
    magic, frames, channels = _HEADER.unpack_from(record)
    if magic != _MAGIC or len(record) != _HEADER.size + 2 * frames * channels:
        raise ValueError("record does not hold features")
    return np.frombuffer(record, "<f2", offset=_HEADER.size).reshape(frames, channels)


def beside(shard: str) -> Path:
    """Where the features of a shard are."""
    return Path(shard).with_suffix(SUFFIX)


def build(shards: Iterable[str], teacher: Callable[[np.ndarray], np.ndarray], sample_rate: int) -> int:
    """Writes the features of shards that have none yet.

    Args:
      shards: paths.
      teacher: mono audio float32 [time] to features [frames, channels].
      sample_rate: Hz, of the teacher; other audio is resampled.

    Returns:
      The number of files written.

    Raises:
      CodaxError: a shard that cannot be read, or a full disk. Finished files stay.
    """
    missing = [shard for shard in shards if not _finished(shard)]
    with Progress("features", sum(len(records.open_shard(shard)) for shard in missing), unit="records") as progress:
        for path in missing:
            shard = records.open_shard(path)
            # A runner of several machines may have two of them work on one shard.
            temporary = beside(path).with_name(f".{beside(path).name}.{uuid.uuid4().hex}.part")
            with records.ShardWriter(beside(path), temporary) as writer:
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
    """Reads features beside the audio of a source's examples.

    Attributes:
      about: what they come from.
    """

    def __init__(self, entries: Iterable[Entry], spec: str) -> None:
        """Checks that all examples have features.

        Args:
          entries: the examples.
          spec: of their source, for messages.

        Raises:
          CodaxError: audio that is not in shards, a missing or damaged file, or folders with different teachers.
        """
        found = {}
        for entry in entries:
            if entry.record < 0:
                raise CodaxError(f"{spec}: {entry.file} is no shard: make shards with codax data build --teacher")
            found[entry.file] = None
        folders = sorted({Path(file).parent for file in found})
        self.about = read_about(folders[0])
        for folder in folders[1:]:
            if read_about(folder) != self.about:
                raise CodaxError(f"{spec}: {folders[0]} and {folder} hold features of different teachers")
        for file in found:
            path = beside(file)
            if not path.exists():
                raise CodaxError(f"{path}: no such file: the features of {Path(file).name} are missing")
            count = len(records.open_shard(str(path)))
            if count != len(records.open_shard(file)):
                raise CodaxError(f"{path}: has {count} records, {Path(file).name} {len(records.open_shard(file))}")

    def read(self, entry: Entry, start: int, frames: int) -> np.ndarray:
        """Features float32 [frames, channels] of an example from frame `start` on; behind the end, the last one again.

        Zeros for a recording that was too short for the teacher.

        Raises:
          CodaxError: a damaged record.
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
    """The stored features beside a source's audio, if the recipe trains with such (`teacher.source` "precomputed").

    Raises:
      CodaxError: as `Features`, and for features that do not fit the codec.
    """
    if not (config.teacher.precomputed and config.loss.distillation):
        return None
    features = Features(source, source.spec)
    found, wanted = features.about, (config.frame_rate, config.model.semantic_dimension)
    if (found.frame_rate, found.dimension) != wanted:
        raise CodaxError(
            f"{source.spec}: its features of {found.teacher} have {found.dimension} channels at {found.frame_rate:g} "
            f"per second; the codec has {config.frame_rate:g} frames and a semantic_dimension of {wanted[1]}"
        )
    return features
