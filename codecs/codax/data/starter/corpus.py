"""The starter corpus: real speech that is downloaded by name, ready for training.

It consists of five voices of telephone prompts and one studio voice from Debian packages, at 16 kHz; without a Debian
package client it is sentences spoken by the neural voice of the `hibari-tts` package. `CACHE/starter/RATE/` holds one
shard per package, `manifest.jsonl`, `LICENSES.txt` and `build.json` (versions, checksums, skipped recordings). An
interrupted build resumes: complete files with the right checksum are kept.

Splits: a hash of its id decides whether a prompt is held out. Prompts with the same text share the decision, identical
recordings are kept once, and prompts under 1.5 s, or without a transcript if their package has transcripts, are always
training material: the test split is meant for listening and word error rates.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.data import manifest, records, splits
from codax.data.starter import debian, voices
from codax.data.starter.voices import Recording, Voice
from codax.errors import CodaxError
from codax.runtime.progress import Progress
from codax.storage.digests import file_sha256, sha256
from codax.storage.files import cache_folder, write_whole

RATES = (16_000, 24_000)  # Hz; the recordings have 16 kHz and are resampled to 24 kHz
HELD_OUT_SECONDS = 1.5
_FORMAT = 1  # of the folder; a change triggers a rebuild
_MIN_SECONDS = 0.3
_SILENT_PEAK = 0.003  # the packages' "silence" prompts stay below 0.0005
_log = logging.getLogger(__name__)

Fetch = Callable[[Sequence[str], Path], list[debian.Package]]


def build(sample_rate: int = RATES[0], cache_dir: str = "", *, fetch: Fetch | None = None) -> Path:
    """Builds the corpus unless it exists.

    Args:
      sample_rate: one of `RATES`; any other gets the 16 kHz masters, which are resampled during training.
      cache_dir: see `cache_folder`.
      fetch: downloads packages; replaced in tests.

    Returns:
      The path of the manifest.

    Raises:
      CodaxError: no way to get the packages, no network, or full disk.
    """
    root = cache_folder(cache_dir) / "starter"
    masters = root / str(RATES[0])
    folder = root / str(sample_rate if sample_rate in RATES else RATES[0])
    if not _complete(folder):
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _lock(root / ".lock"):
                if not _complete(masters):
                    _build_masters(root, masters, fetch)
                if not _complete(folder):
                    _build_resampled(masters, folder, sample_rate)
        except OSError as error:
            raise CodaxError(f"{root}: the starter corpus cannot be built ({error.strerror or error})") from error
    return folder / manifest.NAME


def _complete(folder: Path) -> bool:
    """Whether `folder` holds a finished build of this format, with files of the right sizes."""
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
        return (
            facts["format"] == _FORMAT
            and (folder / manifest.NAME).is_file()
            and all((folder / name).stat().st_size == shard["bytes"] for name, shard in facts["shards"].items())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lets one process at a time build; the others wait and then use the result."""
    try:
        import fcntl
    except ImportError:  # this system has no such locks
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _log.warning("waiting for another process that is building the starter corpus")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_masters(root: Path, folder: Path, fetch: Fetch | None) -> None:
    """Downloads, decodes and splits everything at 16 kHz."""
    parts = []
    if fetch is not None or debian.have_client():
        packages = (fetch or debian.fetch)(voices.PACKAGES, root / "debs")
        by_name = {package.name: package for package in packages}
        unpacked = {}
        for package in packages:
            unpacked[package.name] = root / "unpacked" / f"{package.name}_{package.version}"
            debian.unpack(package.path, unpacked[package.name])
        for voice in voices.VOICES:
            package = by_name[voice.package]
            licence_file = unpacked[voice.package] / "usr/share/doc" / voice.package / "copyright"
            stamp = f"{package.version} {package.sha256}"
            recordings = voices.recordings(voice, unpacked)
            parts.append(
                _part(folder, voice, recordings, stamp=stamp, version=package.version, licence_file=licence_file)
            )
    else:
        voice = voices.HIBARI
        recordings, version = voices.synthesize()
        _log.warning("no Debian package client: the starter corpus is spoken by the neural voice of hibari-tts")
        parts.append(_part(folder, voice, recordings, stamp=version, version=version, licence_file=None))
    _finish(folder, parts)
    shutil.rmtree(root / "unpacked", ignore_errors=True)


def _part(
    folder: Path, voice: Voice, recordings: Sequence[Recording], *, stamp: str, version: str, licence_file: Path | None
) -> dict[str, Any]:
    """Decodes one package into a shard, unless an earlier run has done so; returns its facts and rows."""
    shard, facts_path = folder / f"{voice.package}{records.SUFFIX}", folder / f"{voice.package}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        facts = json.loads(facts_path.read_text(encoding="utf-8"))
        if facts["format"] == _FORMAT and facts["stamp"] == stamp and file_sha256(shard) == facts["sha256"]:
            return facts
    rows: list[dict[str, Any]] = []
    skipped: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    with records.ShardWriter(shard) as writer, Progress(f"decode {voice.package}", len(recordings)) as progress:
        for recording in recordings:
            progress.advance()
            samples, reason = _load(recording)
            checksum = sha256(samples.astype("<i2")).hexdigest()
            if not reason and checksum in known:
                reason = "duplicate"
            if reason:
                skipped.setdefault(reason, []).append(recording.id)
                continue
            known[checksum] = recording.id
            meta = {
                "id": recording.id,
                "sample_rate": RATES[0],
                "text": recording.text,
                "language": voice.language,
                "speaker": voice.speaker,
                "licence": voice.licence,
            }
            row = {**meta, "record": writer.write(meta, samples), "frames": len(samples), "channels": 1}
            rows.append({**row, "seconds": round(len(samples) / RATES[0], 3), "sha256": checksum})
    facts = {
        "format": _FORMAT,
        "stamp": stamp,
        "package": voice.package,
        "version": version,
        "licence": voice.licence,
        "notice": licence_file.read_text(encoding="utf-8", errors="replace") if licence_file else voice.notice,
        "bytes": writer.bytes,
        "sha256": writer.sha256,
        "skipped": skipped,
        "rows": rows,
    }
    write_whole(facts_path, json.dumps(facts, ensure_ascii=False))
    return facts


def _load(recording: Recording) -> tuple[np.ndarray, str]:
    """Samples int16 [time, 1], and the reason to skip them or ""."""
    empty = np.zeros((0, 1), np.int16)
    if recording.skip:
        return empty, recording.skip
    try:
        samples, rate = recording.load()
    except CodaxError:
        return empty, "unreadable or empty"
    if len(samples) < _MIN_SECONDS * rate:
        return empty, f"shorter than {_MIN_SECONDS} s"
    if np.abs(samples).max() < _SILENT_PEAK:
        return empty, "silent"
    return audio.to_int16(audio.resample(samples[:, :1], rate, RATES[0])), ""


def assign_splits(rows: Sequence[dict[str, Any]], by_package: dict[str, Voice]) -> list[str]:
    """The split of every row (`package`, `language`, `id`, `text`, `seconds`); see the module docstring."""
    with_text = {row["package"] for row in rows if row["text"]}
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        words = "".join(c for c in row["text"].lower() if c.isalnum() or c.isspace()).split()
        groups.setdefault(f"{row['language']}:{' '.join(words)}" if words else row["id"], []).append(index)
    result = ["train"] * len(rows)
    for members in groups.values():
        first = min((rows[i] for i in members), key=lambda row: row["id"])
        if any(
            rows[i]["seconds"] < HELD_OUT_SECONDS or (rows[i]["package"] in with_text and not rows[i]["text"])
            for i in members
        ):
            continue
        voice = by_package[first["package"]]
        split = splits.split_of(first["id"], validation=voice.validation_fraction, test=voice.test_fraction)
        for i in members:
            result[i] = split
    return result


def _finish(folder: Path, parts: Iterable[dict[str, Any]]) -> None:
    """Writes manifest, licences and, last, `build.json`."""
    rows: list[dict[str, Any]] = []
    known: dict[str, str] = {}
    skipped: dict[str, list[str]] = {}
    shards, licences = {}, []
    for part in parts:
        name = f"{part['package']}{records.SUFFIX}"
        shards[name] = {key: part[key] for key in ("package", "version", "bytes", "sha256")}
        licences.append(f"{part['package']} {part['version']}: {part['licence']}\n\n{part['notice']}\n")
        for reason, ids in part["skipped"].items():
            skipped.setdefault(reason, []).extend(ids)
        for row in part["rows"]:
            if row["sha256"] in known:
                skipped.setdefault("duplicate", []).append(row["id"])
                continue
            known[row["sha256"]] = row["id"]
            rows.append({"file": name, **row, "package": part["package"], "version": part["version"]})
    by_package = {voice.package: voice for voice in (*voices.VOICES, voices.HIBARI)}
    for row, split in zip(rows, assign_splits(rows, by_package), strict=True):
        row["split"] = split
    if not rows:
        raise CodaxError(f"{folder}: the packages hold no usable audio")
    manifest.write(folder / manifest.NAME, rows)
    write_whole(folder / "LICENSES.txt", f"\n{'=' * 100}\n".join(licences))
    facts = {"format": _FORMAT, "sample_rate": rows[0]["sample_rate"], "shards": shards, "skipped": skipped}
    write_whole(folder / "build.json", json.dumps(facts, ensure_ascii=False, indent=1))
    _log.warning("%s", summary(folder))


def summary(folder: Path) -> str:
    """One line about a finished build: hours, recordings and skipped recordings."""
    facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    rows = manifest.read(folder / manifest.NAME)
    hours = sum(row["frames"] / row["sample_rate"] for row in rows) / 3600
    kinds = Counter(row["split"] for row in rows)
    counts = ", ".join(f"{count} {split}" for split, count in sorted(kinds.items()))
    skipped = "; ".join(f"{len(ids)} {reason}" for reason, ids in facts["skipped"].items())
    return f"starter corpus: {hours:.2f} h in {len(rows)} recordings ({counts}); skipped: {skipped or 'none'}"


def _build_resampled(masters: Path, folder: Path, sample_rate: int) -> None:
    """Resamples the masters, record by record, in the same order."""
    facts = json.loads((masters / "build.json").read_text(encoding="utf-8"))
    frames: dict[tuple[str, int], int] = {}
    shards = {}
    for name, source in facts["shards"].items():
        shard = records.Shard(masters / name)
        done = folder / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            part = json.loads(done.read_text(encoding="utf-8"))
            if part["source"] == source["sha256"] and file_sha256(folder / name) == part["sha256"]:
                shards[name] = {**source, "bytes": part["bytes"], "sha256": part["sha256"]}
                frames.update({(name, i): n for i, n in enumerate(part["frames"])})
                continue
        lengths = []
        with (
            records.ShardWriter(folder / name) as writer,
            Progress(f"resample {source['package']} to {sample_rate} Hz", len(shard)) as progress,
        ):
            for index in range(len(shard)):
                meta, samples = shard.pcm(index)
                out = audio.resample(audio.from_int16(samples), meta["sample_rate"], sample_rate)
                writer.write({**meta, "sample_rate": sample_rate}, audio.to_int16(out))
                frames[name, index] = len(out)
                lengths.append(len(out))
                progress.advance()
        shards[name] = {**source, "bytes": writer.bytes, "sha256": writer.sha256}
        part = {"source": source["sha256"], "sha256": writer.sha256, "bytes": writer.bytes, "frames": lengths}
        write_whole(done, json.dumps(part))
    rows = []
    for row in manifest.read(masters / manifest.NAME):
        name = Path(row["file"]).name
        rows.append({**row, "file": name, "sample_rate": sample_rate, "frames": frames[name, row["record"]]})
    manifest.write(folder / manifest.NAME, rows)
    write_whole(folder / "LICENSES.txt", (masters / "LICENSES.txt").read_bytes())
    facts = {**facts, "sample_rate": sample_rate, "shards": shards}
    write_whole(folder / "build.json", json.dumps(facts, ensure_ascii=False, indent=1))
