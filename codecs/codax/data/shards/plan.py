"""The plan of a build: divides a source into parts that become shards independently.

A part is a run of files or records in source order, or one tar or parquet file. Its shards depend on the part alone, so
parts may be built in any order, on any number of machines, and again after an interruption, with the same result. The
plan is stored as JSON lines in the folder of an unfinished build: the options, then one line per part. Workers find
their part by its byte position.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.config import DataConfig
from codax.data import manifest, records, splits
from codax.data.sources import archives, entries, scan
from codax.data.sources.spec import listing
from codax.errors import CodaxError
from codax.storage.digests import file_sha256
from codax.storage.files import open_part

WORK = ".build"  # in the folder of an unfinished build
_NAME = "plan.jsonl"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that determine the shards of a source.

    Attributes:
      spec: the source.
      sample_rate: Hz of the shards.
      max_seconds: of a record.
      shard_mb: maximum size of a shard in megabytes; a part of a folder has half as much before decoding.
      config: thresholds, and how to split sources without splits.
      tokens: what determines the codes, for shards of tokens; None = shards of audio.
    """

    spec: str
    sample_rate: int
    max_seconds: float
    shard_mb: int
    config: DataConfig
    tokens: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        config = {
            name: getattr(self.config, name)
            for name in ("split_seed", "validation_fraction", "min_seconds", "silence_db", "max_clipped_fraction")
        }
        row = {**dataclasses.asdict(self), "config": config, "format": _FORMAT}
        return row if self.tokens else {key: value for key, value in row.items() if key != "tokens"}


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a listing, all of one split, or one archive.

    Attributes:
      name: suffix of the names of its shards; the prefix is the split.
      split: of the whole part, unless an utterance of an archive names its own; "" = decided by a hash.
      rows: of a listing, with size and modification time of the file as `stamp`.
      archive: path of a tar or parquet file.
      stem: prefix of the ids of an archive's utterances.
      stamp: of an archive.
    """

    name: str
    split: str = ""
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    archive: str = ""
    stem: str = ""
    stamp: list[int] = dataclasses.field(default_factory=list)

    @property
    def report(self) -> str:
        """Name of its report file."""
        return f"{'archive' if self.archive else self.split}-{self.name}.json"


@dataclasses.dataclass(frozen=True)
class PlannedPart:
    """The byte position of a part in the plan, and the path of its report (`codax.data.shards.parts`).

    `count` is the number of its rows; 0 = an archive, whose utterances are not counted.
    """

    position: int
    report: Path
    count: int = 0


def prepare(
    out: Path, options: Options, *, finished: str = manifest.NAME, suffix: str = records.SUFFIX
) -> list[PlannedPart]:
    """Writes the plan, or checks that an unfinished build in `out` has the same plan; returns its parts.

    Args:
      finished: name of the file that a finished build has.
      suffix: of the shards.

    Raises:
      CodaxError: the source is missing or empty, or `out` holds other shards or another build.
    """
    path = out / WORK / _NAME
    if (out / finished).exists():
        raise CodaxError(f"{out}: already holds a {finished}; choose another folder or remove it")
    if not path.exists() and any(out.glob(f"*{suffix}")):
        raise CodaxError(f"{out}: already holds other shards; choose another folder or remove them")
    parts = _parts(options)  # invalid input raises before anything is written
    if (first := next(parts, None)) is None:
        raise CodaxError(f"{options.spec}: nothing to read: it holds no audio")
    planned = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            new = open_part(path, CodaxError)
            stack.callback(new.discard)
            with os.fdopen(new.number, "wb", closefd=False) as file:
                file.write(_line(options.row()))
                for part in itertools.chain([first], parts):
                    planned.append(PlannedPart(file.tell(), out / WORK / part.report, len(part.rows)))
                    file.write(_line(dataclasses.asdict(part)))
            if not path.exists():
                new.publish()
                return planned
            is_same = file_sha256(path) == file_sha256(new.temporary)
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error
    if not is_same:
        raise CodaxError(
            f"{out}: holds an unfinished build with other options, or of files that have changed since; "
            "choose another folder or remove it"
        )
    return planned


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def read(out: Path, position: int) -> tuple[Options, Part]:
    """The options, and the part at a byte position. Raises CodaxError if there is no plan."""
    path = out / WORK / _NAME
    try:
        with path.open("rb") as file:
            row = json.loads(file.readline())
            file.seek(position)
            part = Part(**json.loads(file.readline()))
        row.pop("format")
        return Options(**{**row, "config": DataConfig(**row["config"])}), part
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CodaxError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _parts(options: Options) -> Iterator[Part]:
    if archives.is_archive(options.spec):
        yield from _archives(options.spec)
    else:
        yield from _runs(options)


def _archives(spec: str) -> Iterator[Part]:
    paths = archives.find(spec)
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    stems = [entries.relative_id(archives.stem(os.path.relpath(path, common)) + ".x") for path in paths]
    times = Counter(stems)
    for number, (path, stem) in enumerate(zip(paths, stems, strict=True)):
        unique = stem if times[stem] == 1 else f"{stem}-{number:05d}"
        split = archives.split_in_name(path)
        yield Part(f"{number:05d}", split, archive=os.path.abspath(path), stem=unique, stamp=scan.file_stamp(path))


def _runs(options: Options) -> Iterator[Part]:
    rows = listing(options.spec, options.sample_rate, options.config).rows
    stated, ids = [str(row.get("split") or "") for row in rows], [str(row["id"]) for row in rows]
    fraction, seed = options.config.validation_fraction, options.config.split_seed
    split_names = splits.complete(stated, ids, fraction=fraction, seed=seed)
    by_split: dict[str, list[dict[str, Any]]] = {}
    for row, split in zip(rows, split_names, strict=True):
        if entries.relative_id(split + ".x") != split:
            raise CodaxError(f"{options.spec}: split {split!r} is not a valid file name")
        row.update(split=split, file=os.path.abspath(row["file"]))  # a copy of every row would double the memory
        by_split.setdefault(split, []).append(row)
    stamps: dict[str, list[int]] = {}  # many records share a file
    for split, group in sorted(by_split.items()):
        pending: list[dict[str, Any]] = []
        size, number = 0, 0
        for row in group:
            if row["file"] not in stamps:
                stamps[row["file"]] = scan.file_stamp(row["file"])
            stamp = stamps[row["file"]]
            own = 2 * row["frames"] * row["channels"] if "record" in row else sum(stamp[:1])
            if pending and size + own > options.shard_mb << 19:
                yield Part(f"{number:05d}", split, pending)
                pending, size, number = [], 0, number + 1
            pending.append({**row, "stamp": stamp})
            size += own
        yield Part(f"{number:05d}", split, pending)
