"""Sources of audio by name: the values of `data.source` and `eval.py --data`.

A SPEC is one of
  starter               the starter corpus; `starter:en` is one language, `starter:en:validation` one split of it
                        (a folder of that name is written `./starter`)
  FOLDER                all audio files below a folder, with optional `transcripts.tsv` (file, text); or a folder
                        written by `codax data build`
  FILE.jsonl|csv|tsv    a manifest, see `codax.data.manifest`
  GLOB.array_record     ArrayRecord shards, see `codax.data.records`
  FILE                  a single audio file
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.audio import AUDIO_SUFFIXES, from_int16, out_of_range
from codax.config import DataConfig
from codax.data import manifest, records, splits
from codax.data.sources import archives, entries, scan
from codax.data.sources.entries import Entry
from codax.data.starter import corpus
from codax.errors import CodaxError
from codax.storage.digests import sha256
from codax.storage.files import cache_folder, each_once, files_below, matches, require_file

SPLITS = ("train", "validation", "test")
_log = logging.getLogger(__name__)


class Source:
    """A list of examples: `len(source)`, `source[i]` is an `Entry`, `source.read(i, start, frames)` its samples.

    Attributes:
      spec: the name it was opened by.
      sample_rate: Hz of the samples that `read` returns.
      entries: the examples.
      skipped: the skipped files and the reasons.
    """

    def __init__(self, spec: str, sample_rate: int, examples: Sequence[Entry], skipped: scan.Skipped):
        self.spec, self.sample_rate, self.entries, self.skipped = spec, sample_rate, list(examples), skipped
        self._cached: dict[int, np.ndarray] = {}
        self._limit = self._free = 0

    def hold(self, megabytes: int) -> None:
        """Caches records in memory as they are read, up to a limit, so that reading them again is much faster.

        Nothing is evicted: of a large source a fixed part stays cached.
        """
        self._limit = self._free = megabytes << 20

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, which starts with an empty cache."""
        return {**self.__dict__, "_cached": {}, "_free": self._limit}

    def digest(self) -> str:
        """Hash of the list of examples; independent of the location of the files."""
        lines = (f"{e.id}\t{e.frames}\t{e.sample_rate}\t{e.channels}\t{e.record}\n" for e in self.entries)
        return sha256(*lines).hexdigest()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def seconds(self) -> float:
        return sum(entry.seconds for entry in self.entries)

    def frames(self, index: int) -> int:
        """Length of an example in samples at `sample_rate`."""
        entry = self.entries[index]
        return max(1, round(entry.frames * self.sample_rate / entry.sample_rate))

    def read(self, index: int, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Samples float32 [time, channels] at `sample_rate`; see `entries.read_at`."""
        return entries.read_at(self.entries[index], self.sample_rate, start, frames, self._read)

    def _read(self, entry: Entry, start: int, frames: int | None) -> np.ndarray:
        samples = self._cached.get(id(entry))
        if samples is None:
            if entry.record < 0 or self._free <= 0:
                return entries.read(entry, start, frames)
            samples = records.open_shard(entry.file).pcm(entry.record)[1]
            self._cached[id(entry)] = samples
            self._free -= samples.nbytes
        return from_int16(samples[start:] if frames is None else samples[start : start + frames])


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One example for evaluation; each access to `audio` reads and resamples the file."""

    id: str
    sample_rate: int  # Hz
    text: str | None
    language: str | None
    entry: Entry

    @staticmethod
    def of(entry: Entry, sample_rate: int) -> Utterance:
        """Returns an entry as an utterance at `sample_rate` Hz."""
        return Utterance(entry.id, sample_rate, entry.text or None, entry.language or None, entry)

    @property
    def audio(self) -> np.ndarray:
        """float32 [time, channels] at `sample_rate`."""
        return entries.read_at(self.entry, self.sample_rate)

    @property
    def seconds(self) -> float:
        return self.entry.seconds


def open_source(
    spec: str, *, sample_rate: int, split: str | None = None, config: DataConfig | None = None, strict: bool = True
) -> Source:
    """Opens a source.

    Args:
      spec: see the module docstring.
      sample_rate: Hz of the samples that are read.
      split: "train", "validation" or "test"; None = everything. Examples without a split, or the training part of a
        source without a validation split, are divided by a hash (`config.split_seed`, `config.validation_fraction`).
      config: thresholds for skipping files, and the cache folder.
      strict: if False, a source without splits is not divided but used completely for any split.

    Raises:
      CodaxError: no such source, no usable audio in it, or a manifest with a wrong sample rate.
    """
    config = config or DataConfig()
    skipped = scan.Skipped()
    examples = _measured(listing(spec, sample_rate, config), config, skipped)
    if split is not None and any(entry.split for entry in examples):
        stated, ids = [entry.split for entry in examples], [entry.id for entry in examples]
        names = splits.complete(stated, ids, fraction=config.validation_fraction, seed=config.split_seed)
        known = set(names)
        examples = [
            entry if entry.split else dataclasses.replace(entry, split=name)
            for entry, name in zip(examples, names, strict=True)
        ]
        if split in ("train", "validation") and "validation" not in known and "train" in known:
            examples = _divide(spec, [entry for entry in examples if entry.split == "train"], split, config)
        else:
            examples = [entry for entry in examples if entry.split == split]
        if not examples:
            raise CodaxError(f"{spec}: has no split '{split}', only {', '.join(sorted(known))}")
    elif split is not None and strict:
        examples = _divide(spec, examples, split, config)
    skipped.warn(spec)
    if not examples:
        reason = skipped.describe() if len(skipped) else "it holds no audio"
        raise CodaxError(f"{spec}: nothing to read: {reason}")
    return Source(spec, sample_rate, examples, skipped)


def load_utterances(spec: str, *, sample_rate: int, split: str = "test", limit: int | None = None) -> list[Utterance]:
    """The utterances to evaluate on, ordered by id.

    Args:
      spec: see the module docstring; a bare `starter` means its English part.
      sample_rate: Hz; the utterances' audio is resampled to it.
      split: used if the source has splits; otherwise the whole source is taken.
      limit: keep this many utterances, evenly spaced in the list.

    Raises:
      CodaxError: as `open_source`.
    """
    spec, config = "starter:en" if spec == "starter" else spec, DataConfig(max_clipped_fraction=1.0)
    source = open_source(spec, sample_rate=sample_rate, split=split, config=config, strict=False)
    chosen = sorted(source, key=lambda e: e.id)
    return [Utterance.of(entry, sample_rate) for entry in evenly_spaced(chosen, limit)]


def evenly_spaced(entries: Sequence[Entry], limit: int | None) -> Sequence[Entry]:
    """Returns at most `limit` entries, evenly spaced in the list; all of them without a limit."""
    if limit is None or limit >= len(entries):
        return entries
    return [entries[i * len(entries) // limit] for i in range(limit)]


@dataclasses.dataclass(frozen=True)
class Listing:
    """The contents of a source, before its audio files are measured.

    Attributes:
      rows: of a manifest, each with an `id`; rows of records also have `sample_rate`, `frames` and `channels`.
      name: key of the cached measurements of its files.
    """

    rows: list[dict[str, Any]]
    name: str


def listing(spec: str, sample_rate: int, config: DataConfig) -> Listing:
    """Lists the contents of a source. Raises CodaxError: no such source, or an invalid manifest or shard."""
    name, *parts = spec.split(":")
    path = Path(spec).expanduser()
    if name == "starter":
        return _starter(spec, parts, sample_rate, config)
    if spec.endswith(records.SUFFIX):
        if not (shards := matches(spec)):
            raise CodaxError(f"{spec}: no such file")
        return _shards(shards)
    if archives.is_archive(spec):
        archives.find(spec)
        raise CodaxError(f"{spec}: allows sequential reading only: make shards of it with codax data build")
    if path.is_dir():
        if (path / manifest.NAME).is_file():
            return _manifest(path / manifest.NAME)
        if shards := each_once(sorted(str(p) for p in path.glob(f"*{records.SUFFIX}"))):
            return _shards(shards)
        return _folder(path)
    if not path.exists():
        raise CodaxError(f"{spec}: no such file or folder (a source is 'starter', a folder, a manifest or shards)")
    require_file(path)
    if path.suffix.lower() in manifest.SUFFIXES:
        return _manifest(path)
    return Listing([{"file": str(path), "id": entries.relative_id(path.name)}], str(path.resolve()))


def _starter(spec: str, parts: list[str], sample_rate: int, config: DataConfig) -> Listing:
    """`starter[:language][:split]`."""
    languages = [part for part in parts if part not in SPLITS]
    named_splits = [part for part in parts if part in SPLITS]
    if len(languages) > 1 or len(named_splits) > 1:
        raise CodaxError(f"{spec}: expected starter, starter:LANGUAGE or starter:LANGUAGE:SPLIT")
    corpus_listing = _manifest(corpus.build(sample_rate, config.cache_dir))
    rows, known = corpus_listing.rows, sorted({row.get("language", "") for row in corpus_listing.rows})
    if languages:
        rows = [row for row in rows if row.get("language") == languages[0]]
        if not rows:
            raise CodaxError(f"{spec}: the starter corpus has no language '{languages[0]}', only {', '.join(known)}")
    if named_splits:  # a split named in the spec is the whole source
        rows = [{**row, "split": ""} for row in rows if row.get("split") == named_splits[0]]
    return Listing(rows, corpus_listing.name)


def _folder(folder: Path) -> Listing:
    """All audio files below a folder, sorted; links are followed, and each file is listed once."""
    texts = {}
    if (folder / "transcripts.tsv").is_file():
        for name, text in manifest.read_transcripts(folder / "transcripts.tsv").items():
            texts[os.path.normpath(name)] = text
    rows: list[dict[str, Any]] = []
    for path in each_once(files_below(folder, AUDIO_SUFFIXES)):
        relative = os.path.relpath(path, folder)
        text = texts.get(relative) or texts.get(os.path.splitext(relative)[0]) or ""
        rows.append({"file": path, "id": entries.relative_id(relative), "text": text})
    times = Counter(row["id"] for row in rows)
    for row in rows:
        if times[row["id"]] > 1:  # such as a/b.wav, a-b.wav and a-b.flac
            row["id"] += f"-{sha256(os.path.relpath(row['file'], folder)).hexdigest()[:8]}"
    return Listing(rows, str(folder.resolve()))


def _manifest(path: Path) -> Listing:
    """The rows of a manifest: audio files first, then records of shards."""
    rows = manifest.read(path)
    for row in rows:
        if "record" not in row:
            row["id"] = row.get("id") or entries.relative_id(os.path.relpath(row["file"], path.parent))
            continue
        numbers = ("sample_rate", "frames", "channels")
        if not all(row.get(key) for key in numbers):
            header = records.open_shard(row["file"]).header(row["record"])
            _check_rate(row["file"], row.get("sample_rate"), header["sample_rate"])
            stated = {key: value for key, value in row.items() if value != "" and key not in numbers}
            row.update({**header, **stated})
        row.setdefault("id", f"{entries.relative_id(os.path.basename(row['file']))}-{row['record']:06d}")
    return Listing(sorted(rows, key=lambda row: "record" in row), str(path.resolve()))


def _shards(paths: Sequence[str]) -> Listing:
    """Every record of some shards, in order. Shards described by a manifest in their folder are not read."""
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for folder in sorted({os.path.dirname(path) for path in paths}):
        beside = Path(folder or ".") / manifest.NAME
        if beside.is_file():
            for row in manifest.read(beside):
                by_shard.setdefault(os.path.abspath(row["file"]), []).append(row)
    rows_found = []
    for path in paths:
        shard = records.open_shard(path)
        rows = sorted(by_shard.get(os.path.abspath(path), []), key=lambda row: row.get("record", -1))
        if not rows or not all({"record", "sample_rate", "frames", "channels"} <= row.keys() for row in rows):
            rows = [{**shard.header(i), "record": i} for i in range(len(shard))]
        for row in rows:
            row.update(file=path)
            row.setdefault("id", f"{entries.relative_id(os.path.basename(path))}-{row['record']:06d}")
        rows_found.extend(rows)
    return Listing(rows_found, "")


def _measured(listed: Listing, config: DataConfig, skipped: scan.Skipped) -> list[Entry]:
    """The usable examples of a listing; measures each audio file."""
    files = [row["file"] for row in listed.rows if "record" not in row]
    measured = iter(scan.measure_all(files, cache_folder(config.cache_dir), name=listed.name) if files else ())
    made = (entry_of(row, None if "record" in row else next(measured), config, skipped) for row in listed.rows)
    return [entry for entry in made if entry is not None]


def entry_of(
    row: dict[str, Any], measured: scan.Measurement | None, config: DataConfig, skipped: scan.Skipped
) -> Entry | None:
    """The example of a row, or None if it is skipped; the reason is added to `skipped`.

    Args:
      row: of a listing.
      measured: its file's measurement; None for a record, whose row has the length.
      config: thresholds.
      skipped: receives the reason.

    Raises:
      CodaxError: the row has a wrong sample rate.
    """
    if measured is None:
        if row["frames"] < config.min_seconds * row["sample_rate"]:
            skipped.add(f"shorter than {config.min_seconds:g} s", row["id"])
            return None
        return _entry(row)
    if not measured.error:
        _check_rate(row["file"], row.get("sample_rate"), measured.sample_rate)
    if reason := scan.unfit(measured, config):
        skipped.add(reason, os.path.basename(row["file"]))
        return None
    return _entry(
        {**row, "sample_rate": measured.sample_rate, "channels": measured.channels, "frames": measured.frames}
    )


def _check_rate(file: str, stated: int | None, actual: int) -> None:
    if stated and stated != actual:
        raise CodaxError(f"{file}: the manifest states {stated} Hz, the audio has {actual} Hz")


def _entry(row: dict[str, Any]) -> Entry:
    if reason := out_of_range(row["sample_rate"], row["channels"]):
        raise CodaxError(f"{row['file']}: {reason}")
    texts = {key: str(row[key]) for key in ("split", "language", "speaker", "text", "licence") if row.get(key)}
    return Entry(
        str(row["id"]),
        str(row["file"]),
        int(row["sample_rate"]),
        int(row["channels"]),
        int(row["frames"]),
        int(row.get("record", -1)),
        **texts,
    )


def _divide(spec: str, examples: list[Entry], split: str, config: DataConfig) -> list[Entry]:
    """The training or validation part of a source without splits."""
    if split not in ("train", "validation") or not examples:
        if examples:
            raise CodaxError(f"{spec}: has no split '{split}'; it names no splits, so it has train and validation only")
        return examples
    if len(examples) == 1:
        _log.warning("%s: a single example is both training and validation material", spec)
        return examples
    if split == "validation" and config.validation_fraction <= 0:
        raise CodaxError(f"{spec}: has no split 'validation', and data.validation_fraction 0 divides none off")
    ids = [entry.id for entry in examples]
    assigned = splits.hold_out(ids, fraction=config.validation_fraction, seed=config.split_seed)
    return [entry for entry, part in zip(examples, assigned, strict=True) if part == split]
