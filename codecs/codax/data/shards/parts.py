"""Makes the shards of one part of a build. The result is deterministic: the same bytes on any machine, at any time.

The report of a part, `.build/NAME.json`, is written after its shards, so a part with a report is finished.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.data import records, splits
from codax.data.shards import plan
from codax.data.shards.plan import Options, Part
from codax.data.sources import archives, entries, scan
from codax.data.sources.entries import Entry
from codax.data.sources.members import MAX_TEXT_BYTES, ArchiveError, Member
from codax.data.sources.spec import entry_of
from codax.errors import CodaxError
from codax.storage.files import write_whole


class Tally(scan.Skipped):
    """Counts the utterances of a part: the sample rates (Hz) of those kept, and the reasons why others are not."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: Counter[str] = Counter()
        self.damaged: dict[str, str] = {}  # archive -> reason

    def update(self, other: Tally) -> None:
        """Adds the counts of utterances that follow."""
        for reason, names in other.reasons.items():
            self.reasons.setdefault(reason, []).extend(names)
        self.rates.update(other.rates)
        self.damaged |= other.damaged

    def facts(self) -> dict[str, Any]:
        """The counts as entries of a report."""
        skipped = {
            reason: {"count": len(names), "examples": names[: scan.NAMES_SHOWN]}
            for reason, names in self.reasons.items()
        }
        return {"rates": self.rates, "skipped": skipped, "damaged": self.damaged}


class UnfitError(CodaxError):
    """An utterance must be skipped; the message is the reason."""


@dataclasses.dataclass
class Reading:
    """The records of one utterance: split, header and what `convert` made of the samples; and its counts."""

    records: list[tuple[str, dict[str, Any], Any]] = dataclasses.field(default_factory=list)
    tally: Tally = dataclasses.field(default_factory=Tally)


Convert = Callable[[np.ndarray], Any]  # of the float32 samples [time, channels] of a record


def read_report(out: Path, path: Path) -> dict[str, Any] | None:
    """The report of a part; None if the part is unfinished or its shards are missing."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        is_whole = all((out / name).stat().st_size == facts["bytes"] for name, facts in report["shards"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if is_whole else None


def build_part(out: str, position: int) -> int:
    """Makes the shards of the part at a position of the plan, unless they exist; returns the number of records.

    Raises:
      CodaxError: full disk, or a manifest with a wrong sample rate.
    """
    options, part = plan.read(Path(out), position)
    path = Path(out) / plan.WORK / part.report
    if (done := read_report(Path(out), path)) is not None:
        return len(done["rows"])
    tally = Tally()
    with contextlib.ExitStack() as stack:
        writers = _Writers(Path(out), part.name, options)
        stack.push(writers.close)
        for read in readings(part, options, audio.to_int16):
            reading = read()
            for split, meta, samples in reading.records:
                writers.write(split, meta, samples)
            tally.update(reading.tally)
    write_report(path, {"rows": writers.rows, "shards": writers.shards, **tally.facts()})
    return len(writers.rows)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Writes the report of a part, which marks it as finished. Raises CodaxError: full disk."""
    try:
        write_whole(path, json.dumps(report))
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error


def readings(part: Part, options: Options, convert: Convert) -> Iterator[Callable[[], Reading]]:
    """A function for each utterance of a part, in order, that reads it; threads may call several at once.

    Args:
      convert: applied to the samples of each record as they are read, so that a long recording is never in memory as a
        whole. May raise `UnfitError`.
    """
    if part.archive:
        yield from _archived(part, options, convert)
        return
    for row in part.rows:
        yield functools.partial(_of_row, row, options, convert)


def _of_row(row: dict[str, Any], options: Options, convert: Convert) -> Reading:
    reading = Reading()
    measured = None if "record" in row else scan.measure(row["file"])
    if (entry := entry_of(row, measured, options.config, reading.tally)) is not None:
        _read(entry, options, convert, reading)
    return reading


def _archived(part: Part, options: Options, convert: Convert) -> Iterator[Callable[[], Reading]]:
    seen: set[str] = set()
    try:
        for member in archives.members(part.archive):
            identifier = f"{part.stem}-{entries.relative_id(member.key + '.x')}"
            split = member.facts.get("split") or part.split
            reason = member.reason
            if not reason and sum(len(text.encode()) for text in member.facts.values()) > MAX_TEXT_BYTES:
                reason = "text is too long"
            elif not reason and identifier in seen:
                reason = "duplicate name"
            elif not reason and split and entries.relative_id(split + ".x") != split:
                reason = "split is not a valid file name"
            if reason:
                yield functools.partial(_skipped, reason, identifier)
            else:
                seen.add(identifier)
                yield functools.partial(_of_member, member, identifier, split, options, convert)
    except ArchiveError as error:
        damaged = Reading()
        damaged.tally.damaged[part.archive] = error.reason
        yield lambda: damaged


def _skipped(reason: str, identifier: str) -> Reading:
    reading = Reading()
    reading.tally.add(reason, identifier)
    return reading


def _of_member(member: Member, identifier: str, split: str, options: Options, convert: Convert) -> Reading:
    """Reads a member's audio through a temporary file."""
    reading, config, fact = Reading(), options.config, member.facts.get
    number, path = tempfile.mkstemp(prefix="codax-", suffix=member.suffix)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(member.data)
        measured = scan.measure(path)
        if reason := scan.unfit(measured, config):
            return _skipped(reason, identifier)
        if not split:
            split = splits.split_of(identifier, validation=config.validation_fraction, seed=config.split_seed)
        entry = Entry(
            identifier,
            path,
            measured.sample_rate,
            measured.channels,
            measured.frames,
            split=split,
            language=fact("language", ""),
            speaker=fact("speaker", ""),
            text=fact("text", ""),
            licence=fact("licence", ""),
        )
        _read(entry, options, convert, reading)
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        os.unlink(path)
    return reading


def _read(entry: Entry, options: Options, convert: Convert, reading: Reading) -> None:
    """Adds the records of an utterance to a reading; none if it cannot be read to its end."""
    rate = options.sample_rate
    try:
        converted = [convert(samples) for samples in _joined(_blocks(entry, rate, options.max_seconds), rate)]
    except UnfitError as error:
        reading.tally.add(str(error), entry.id)
        return
    for number, value in enumerate(converted):
        meta: dict[str, Any] = {"id": entry.id, "sample_rate": rate}
        meta |= {key: getattr(entry, key) for key in ("language", "speaker", "licence") if getattr(entry, key)}
        if len(converted) > 1:
            meta["id"] = f"{entry.id}-{number:04d}"
        elif entry.text:
            meta["text"] = entry.text
        reading.records.append((entry.split, meta, value))
    if converted:
        reading.tally.rates[str(entry.sample_rate)] += 1


def _joined(blocks: Iterable[np.ndarray], shortest: int) -> Iterator[np.ndarray]:
    """The blocks; a last one of fewer than `shortest` frames is joined to the one before it."""
    held: list[np.ndarray] = []
    for block in blocks:
        final = len(held) if len(block) >= shortest else max(0, len(held) - 1)
        yield from held[:final]
        held = [*held[final:], block]
    yield from [np.concatenate(held)] if held else []


def _blocks(entry: Entry, sample_rate: int, max_seconds: float) -> Iterator[np.ndarray]:
    """The audio in blocks. Raises UnfitError if it cannot be read to its end."""
    try:
        if entry.record < 0:
            yield from audio.blocks(entry.file, max_seconds, sample_rate=sample_rate)
            return
        whole = entries.read_at(entry, sample_rate)
    except CodaxError as error:
        raise UnfitError("unreadable") from error
    size = max(1, round(max_seconds * sample_rate))
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


class _Writers:
    """The shards that a part is written to, one at a time per split.

    Attributes:
      rows: of the manifest.
      shards: number of records, bytes and SHA-256 of each finished file.
    """

    def __init__(self, out: Path, name: str, options: Options):
        self.rows: list[dict[str, Any]] = []
        self.shards: dict[str, dict[str, Any]] = {}
        self._out, self._name = out, name
        self._capacity = options.shard_mb << 19  # 16-bit samples
        self._open: dict[str, tuple[records.ShardWriter, int]] = {}
        self._count: Counter[str] = Counter()

    def write(self, split: str, meta: dict[str, Any], samples: np.ndarray) -> None:
        writer, written = self._open.get(split, (None, 0))
        if writer is not None and written + samples.size > self._capacity:
            self._finish(split)
            writer = None
        if writer is None:
            name = f"{split}-{self._name}-{self._count[split]:02d}{records.SUFFIX}"
            self._count[split] += 1
            writer, written = records.ShardWriter(self._out / name, self._out / plan.WORK), 0
        index = writer.write(meta, samples)
        facts = {"frames": len(samples), "channels": samples.shape[1], "split": split}
        self.rows.append({"file": writer.path.name, "record": index, **meta, **facts})
        self._open[split] = writer, written + samples.size

    def _finish(self, split: str) -> None:
        writer, _ = self._open.pop(split)
        writer.__exit__(None, None, None)
        self.shards[writer.path.name] = {"records": writer.count, "bytes": writer.bytes, "sha256": writer.sha256}

    def close(self, kind: Any, value: Any, traceback: Any) -> bool:
        """Finishes the open shards, or discards them after an exception."""
        for split in sorted(self._open):
            if kind is None:
                self._finish(split)
            else:
                self._open.pop(split)[0].__exit__(kind, value, traceback)
        return False
