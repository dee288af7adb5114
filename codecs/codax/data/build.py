"""Turns any source into shards: decoded and resampled once, so that training only reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.config import DataConfig
from codax.data import entries, manifest, records, scan, splits
from codax.data.entries import Entry
from codax.data.progress import Progress
from codax.data.sources import open_source
from codax.errors import CodaxError

_SHARD_SAMPLES = 128 << 20  # about 256 MB a shard


def build_shards(
    spec: str, out: Path, *, sample_rate: int, max_seconds: float = 30.0, config: DataConfig | None = None
) -> Path:
    """Writes `out/SPLIT-NNNNN.array_record` and `out/manifest.jsonl`.

    Args:
      spec: any source.
      out: folder; created. Must not hold a manifest yet.
      sample_rate: Hz of the shards.
      max_seconds: longer files become several records, so that a random read stays cheap.
      config: what to skip, and how sources without splits are divided.

    Returns:
      The manifest, which is itself a source, as `out` is.

    Raises:
      CodaxError: nothing usable in the source, `out` in use, full disk.
    """
    config = config or DataConfig()
    if (out / manifest.NAME).exists():
        raise CodaxError(f"{out}: already holds a {manifest.NAME}; choose another folder or remove it")
    source = open_source(spec, sample_rate=sample_rate, config=config)
    by_split: dict[str, list[Entry]] = {}
    if all(entry.split for entry in source):
        kinds = [entry.split for entry in source]
    else:
        ids = [entry.id for entry in source]
        kinds = splits.hold_out(ids, fraction=config.validation_fraction, seed=config.split_seed)
    for entry, kind in zip(source, kinds, strict=True):
        by_split.setdefault(kind, []).append(entry)
    rows: list[dict[str, Any]] = []
    broken = scan.Skipped()
    with Progress("build shards", len(source)) as progress:
        for split, group in sorted(by_split.items()):
            pieces = _pieces(group, sample_rate, max_seconds, broken, progress)
            rows.extend(_write_split(out, split, pieces))
    broken.warn(spec)
    if not rows:
        raise CodaxError(f"{spec}: nothing to build: {broken.describe()}")
    manifest.write(out / manifest.NAME, rows)
    return out / manifest.NAME


def _pieces(
    group: list[Entry], sample_rate: int, max_seconds: float, broken: scan.Skipped, progress: Progress
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Header and int16 samples of every record to come; files that break while being read are left out whole."""
    for entry in group:
        progress.advance()
        pieces = []
        try:
            for part in _blocks(entry, sample_rate, max_seconds):
                pieces.append(audio.to_int16(part))
        except CodaxError:
            broken.add("unreadable", entry.id)
            continue
        # A short rest joins the piece before it.
        if len(pieces) > 1 and len(pieces[-1]) < sample_rate:
            pieces[-2:] = [np.concatenate(pieces[-2:])]
        for number, samples in enumerate(pieces):
            meta = {"id": entry.id, "sample_rate": sample_rate}
            meta |= {key: getattr(entry, key) for key in ("language", "speaker", "licence") if getattr(entry, key)}
            if len(pieces) > 1:
                meta["id"] = f"{entry.id}-{number:04d}"
            elif entry.text:
                meta["text"] = entry.text
            yield meta, samples


def _blocks(entry: Entry, sample_rate: int, max_seconds: float) -> Iterator[np.ndarray]:
    if entry.record < 0:
        yield from audio.blocks(entry.file, max_seconds, sample_rate=sample_rate)
        return
    whole = entries.read_at(entry, sample_rate)
    size = max(1, round(max_seconds * sample_rate))
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _write_split(out: Path, split: str, pieces: Iterator[tuple[dict[str, Any], np.ndarray]]) -> list[dict[str, Any]]:
    """Writes one split into as many shards as needed; returns its rows."""
    rows: list[dict[str, Any]] = []
    held = next(pieces, None)
    number = 0
    while held is not None:
        name = f"{split}-{number:05d}{records.SUFFIX}"
        with records.ShardWriter(out / name) as writer:
            written = 0
            while held is not None and (written == 0 or written + held[1].size <= _SHARD_SAMPLES):
                meta, samples = held
                index = writer.write(meta, samples)
                facts = {"frames": len(samples), "channels": samples.shape[1], "split": split}
                rows.append({"file": name, "record": index, **meta, **facts})
                written += samples.size
                held = next(pieces, None)
        number += 1
    return rows
