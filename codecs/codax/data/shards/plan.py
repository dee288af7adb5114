"""The plan of a build: the parts that a source falls into, each of which becomes shards of its own.

A part is a run of files or records, in the order in which the source has them, or one tar or parquet file. What a part
becomes depends on it alone, so parts may be built in any order, by any number of machines, and again after an
interruption, with the same shards. The plan lies as lines of JSON in the folder of an unfinished build: its options,
then a part a line, which workers find by its position.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import uuid
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

WORK = ".build"  # in the folder of an unfinished build
_NAME = "plan.jsonl"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Options:
    """What decides how a source becomes shards.

    Attributes:
      spec: the source.
      sample_rate: Hz of the shards.
      max_seconds: of a record.
      shard_mb: a shard is cut when it holds so many megabytes; a part of a folder has half of it before decoding.
      config: thresholds, and the division of sources without splits.
    """

    spec: str
    sample_rate: int
    max_seconds: float
    shard_mb: int
    config: DataConfig

    def row(self) -> dict[str, Any]:
        config = {
            name: getattr(self.config, name)
            for name in ("split_seed", "validation_fraction", "min_seconds", "silence_db", "max_clipped_fraction")
        }
        return {**dataclasses.asdict(self), "config": config, "format": _FORMAT}


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a listing, all of one split, or an archive.

    Attributes:
      name: ends the names of its shards, which a split begins.
      split: of all of it, unless an utterance of an archive says otherwise; "" = then a hash decides.
      rows: of a listing, with the size and time of change of their files as `stamp`.
      archive: tar or parquet file.
      stem: begins the ids of an archive's utterances.
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
        """The name of the file that tells what has become of it."""
        return f"{'archive' if self.archive else self.split}-{self.name}.json"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a part stands in the plan, in bytes, and where a report on it is to be (`codax.data.shards.parts`)."""

    position: int
    report: Path


def prepare(out: Path, options: Options) -> list[Place]:
    """Writes the plan, or makes sure that an unfinished build in `out` has the same; returns its parts.

    Raises:
      CodaxError: no such source, nothing in it, or `out` holds other shards or another build.
    """
    path = out / WORK / _NAME
    if (out / manifest.NAME).exists():
        raise CodaxError(f"{out}: already holds a {manifest.NAME}; choose another folder or remove it")
    if not path.exists() and any(out.glob(f"*{records.SUFFIX}")):
        raise CodaxError(f"{out}: already holds shards of something else; choose another folder or remove them")
    found = _parts(options)  # bad input is said before anything is written
    if (first := next(found, None)) is None:
        raise CodaxError(f"{options.spec}: nothing to read: it holds no audio")
    places = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{_NAME}.{uuid.uuid4().hex}.part")
        with temporary.open("wb") as file:
            file.write(_line(options.row()))
            for part in itertools.chain([first], found):
                places.append(Place(file.tell(), out / WORK / part.report))
                file.write(_line(dataclasses.asdict(part)))
        if not path.exists():
            os.replace(temporary, path)
            return places
        is_same = file_sha256(path) == file_sha256(temporary)
        temporary.unlink()
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error
    if not is_same:
        raise CodaxError(
            f"{out}: holds an unfinished build of other options, or of files that changed since; "
            "choose another folder or remove it"
        )
    return places


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def read(out: Path, position: int) -> tuple[Options, Part]:
    """The options and the part at a position. Raises CodaxError: no plan is there."""
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
    found = archives.find(spec)
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in found])
    stems = [entries.relative_id(archives.stem(os.path.relpath(path, common)) + ".x") for path in found]
    times = Counter(stems)
    for number, (path, stem) in enumerate(zip(found, stems, strict=True)):
        unique = stem if times[stem] == 1 else f"{stem}-{number:05d}"
        split = archives.split_in_name(path)
        yield Part(f"{number:05d}", split, archive=os.path.abspath(path), stem=unique, stamp=scan.file_stamp(path))


def _runs(options: Options) -> Iterator[Part]:
    rows = listing(options.spec, options.sample_rate, options.config).rows
    kinds = [str(row.get("split") or "") for row in rows]
    if not all(kinds):
        ids = [str(row["id"]) for row in rows]
        kinds = splits.hold_out(ids, fraction=options.config.validation_fraction, seed=options.config.split_seed)
    by_split: dict[str, list[dict[str, Any]]] = {}
    for row, kind in zip(rows, kinds, strict=True):
        if entries.relative_id(kind + ".x") != kind:
            raise CodaxError(f"{options.spec}: split {kind!r} cannot stand in the name of a file")
        by_split.setdefault(kind, []).append({**row, "split": kind, "file": os.path.abspath(row["file"])})
    stamps: dict[str, list[int]] = {}  # many records lie in one file
    for split, group in sorted(by_split.items()):
        held: list[dict[str, Any]] = []
        size, number = 0, 0
        for row in group:
            if row["file"] not in stamps:
                stamps[row["file"]] = scan.file_stamp(row["file"])
            stamp = stamps[row["file"]]
            own = 2 * row["frames"] * row["channels"] if "record" in row else sum(stamp[:1])
            if held and size + own > options.shard_mb << 19:
                yield Part(f"{number:05d}", split, held)
                held, size, number = [], 0, number + 1
            held.append({**row, "stamp": stamp})
            size += own
        yield Part(f"{number:05d}", split, held)
