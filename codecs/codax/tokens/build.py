"""`codax tokenize`: encodes a source into shards of tokens.

The parts and reports are those of shards of audio (`codax.data.shards`): an interrupted build resumes with the
unfinished parts, and gives the same bytes as an uninterrupted one.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax.codec.checks import chosen_levels
from codax.codec.codec import Codec
from codax.codec.tokens import Tokens
from codax.config import DataConfig
from codax.data.shards import build, parts, plan
from codax.data.shards.plan import Options, Part
from codax.errors import CodaxError
from codax.runtime import cores
from codax.runtime.platforms import platform
from codax.runtime.progress import Progress
from codax.storage.files import write_whole
from codax.tokens import shards
from codax.tokens.dataset import KIND, NAME, VERSION

BATCH = 32  # clips of similar lengths that an accelerator encodes at once
_WINDOW = 16 * BATCH  # clips among which similar lengths are found
Piece = tuple[str, dict[str, Any], np.ndarray]  # split, header, samples [time, channels]


def build_tokens(
    spec: str,
    out: Path,
    codec: Codec,
    *,
    kbps: float | None = None,
    num_quantizers: int | None = None,
    form: str = "parquet",
    max_seconds: float = 600.0,
    shard_mb: int = 64,
    workers: int | None = None,
    config: DataConfig | None = None,
) -> Path:
    """Writes `out/SPLIT-NNNNN-NN.parquet` and, last, `out/dataset.json`.

    A mono model codes the mean of a recording's channels. Every clip has the codes that `codec.encode` gives it alone.

    Args:
      spec: as in `codax.data.shards.build.build_shards`.
      out: folder; created if needed. Must be empty, or hold an unfinished build with the same options.
      codec: the model.
      kbps, num_quantizers: as in `Codec.encode`.
      form: "parquet" or "arrayrecord".
      max_seconds: longer files are split into several records, which are coded independently.
      shard_mb: size of the audio of a shard in megabytes, as 16-bit samples.
      workers: threads that encode; None = one per core, and one with an accelerator.
      config: what to skip, and how to split sources without splits.

    Returns:
      The path of dataset.json.

    Raises:
      CodaxError: the source has no usable audio, `out` is in use or holds tokens of another model, or the disk is full.
    """
    if form not in shards.FORMATS:
        raise CodaxError(f"unknown format {form!r}: expected {' or '.join(shards.FORMATS)}")
    if form == "parquet":
        shards.parquet()
    levels = chosen_levels(codec.config, kbps, num_quantizers)
    identity = {"model": codec.model_id, "hash": codec.hash.hex(), "quantizers": levels, "format": form}
    identity["beam"] = getattr(codec.config.quantizer, "beam", 1)
    rate = codec.config.model.sample_rate
    options = Options(spec, rate, max_seconds, shard_mb, config or DataConfig(), identity)
    planned = plan.prepare(out, options, finished=NAME, suffix=shards.suffix(form))
    is_cpu = platform() == "cpu"
    with (
        Progress("tokenize", unit="s of audio") as progress,
        concurrent.futures.ThreadPoolExecutor(workers or (cores.usable() if is_cpu else 1)) as pool,
    ):
        encode = functools.partial(_encoded, codec, levels, pool, 1 if is_cpu else BATCH)
        for part in planned:
            if parts.read_report(out, part.report) is None:
                _build_part(out, part.position, encode, progress)
    return _finish(out, options, codec, [part.report for part in planned])


def _build_part(
    out: Path, position: int, encode: Callable[[Iterable[Piece]], Iterator[tuple[str, shards.Record]]], progress: Any
) -> None:
    """Writes the shards of a part, then its report."""
    options, part = plan.read(out, position)
    rate, tally = options.sample_rate, parts.Tally()
    writers, rows = _Writers(out, part, options), []
    for split, record in encode(parts.pieces(part, options, tally, lambda samples: samples)):
        writers.write(split, record)
        rows.append({"split": split, "frames": len(record["codes"]), "samples": record["length"]})
        progress.advance(record["length"] / rate)
    report = {"rows": rows, "shards": writers.finish(), "counts": writers.counts, **tally.facts()}
    parts.write_report(out / plan.WORK / part.report, report)


class _Writers:
    """Collects the records of a part by split, and writes a shard when its audio has the size of one."""

    def __init__(self, out: Path, part: Part, options: Options):
        self._out, self._part, self._options = out, part, options
        self._pending: dict[str, list[shards.Record]] = collections.defaultdict(list)
        self._size: Counter[str] = Counter()
        self._number: Counter[str] = Counter()
        self._shards: dict[str, dict[str, Any]] = {}
        self._counts: list[Counter[int]] = []

    def write(self, split: str, record: shards.Record) -> None:
        if not self._counts:
            self._counts = [Counter() for _ in range(record["codes"].shape[1])]
        for counter, codes in zip(self._counts, record["codes"].T, strict=True):
            counter.update(codes.tolist())
        self._pending[split].append(record)
        self._size[split] += 2 * record["length"] * record["channels"]
        if self._size[split] > self._options.shard_mb << 20:
            self._flush(split)

    def _flush(self, split: str) -> None:
        form = (self._options.tokens or {})["format"]
        name = f"{split}-{self._part.name}-{self._number[split]:02d}{shards.suffix(form)}"
        self._shards[name] = shards.write(self._out / name, form, self._pending.pop(split), self._out / plan.WORK)
        self._number[split] += 1
        self._size[split] = 0

    def finish(self) -> dict[str, dict[str, Any]]:
        for split in sorted(self._pending):
            self._flush(split)
        return self._shards

    @property
    def counts(self) -> list[list[list[int]]]:
        """For each level, pairs of a code and the number of its uses."""
        return [sorted([code, uses] for code, uses in counter.items()) for counter in self._counts]


def _encoded(
    codec: Codec, levels: int, pool: concurrent.futures.Executor, batch: int, pieces: Iterable[Piece]
) -> Iterator[tuple[str, shards.Record]]:
    """Encodes clips in the order of the source; a bounded number is in memory.

    Args:
      pool: encodes several batches at once.
      batch: clips of similar lengths that are encoded together.
    """
    model = codec.config.model
    width = 1 if batch == 1 else _WINDOW
    kind = shards.code_type([codec.config.quantizer.codebook_size])

    def encode(clips: list[np.ndarray]) -> list[Tokens]:
        joined = clips if len(clips) > 1 else clips[0]
        return codec.encode(joined, sample_rate=model.sample_rate, num_quantizers=levels).split()

    def window(chosen: list[Piece]) -> list[tuple[str, shards.Record]]:
        clips = [_with_channels(samples, model.audio_channels, meta["id"]) for _, meta, samples in chosen]
        order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
        coded: dict[int, Tokens] = {}
        for group in _batched(order, batch):
            coded.update(zip(group, encode([clips[i] for i in group]), strict=True))
        return [(split, _record(codec, meta, coded[i], kind)) for i, (split, meta, _) in enumerate(chosen)]

    running: collections.deque[concurrent.futures.Future] = collections.deque()
    most = 2 * (getattr(pool, "_max_workers", 1))
    source = iter(pieces)
    while chosen := list(itertools.islice(source, width)):
        running.append(pool.submit(window, chosen))
        if len(running) > most:
            yield from running.popleft().result()
    while running:
        yield from running.popleft().result()


def _batched(items: list[int], size: int) -> Iterator[list[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _with_channels(samples: np.ndarray, channels: int, name: str) -> np.ndarray:
    """Returns float32 [time, channels]: the mean for a mono model, and a mono recording in every channel."""
    if channels == 1:
        return samples.mean(axis=1, keepdims=True, dtype=np.float32)
    if samples.shape[1] not in (1, channels):
        raise CodaxError(f"{name}: has {samples.shape[1]} channels, the model codes {channels}")
    return np.repeat(samples, channels, axis=1) if samples.shape[1] == 1 else samples


def _record(codec: Codec, meta: dict[str, Any], tokens: Tokens, kind: np.dtype) -> shards.Record:
    record = {name: meta[name] for name in ("id", *shards.TEXTS) if meta.get(name)}
    record |= {"length": tokens.length, "sample_rate": tokens.sample_rate, "channels": tokens.channels}
    record |= {"frame_rate": codec.config.frame_rate, "codes": tokens.codes[0].astype(kind)}
    return record if tokens.scales is None else record | {"scales": [float(scale) for scale in tokens.scales[0]]}


def _finish(out: Path, options: Options, codec: Codec, reports: list[Path]) -> Path:
    """Writes dataset.json, and removes the work folder."""
    whole, levels = build.joined(out, reports), (options.tokens or {})["quantizers"]
    build.report_skipped(out, options.spec, whole)
    size, rate = codec.config.quantizer.codebook_size, options.sample_rate
    counts = np.zeros((levels, size), np.int64)
    for path in reports:
        for level, uses in enumerate((parts.read_report(out, path) or {})["counts"]):
            for code, number in uses:
                counts[level, code] += number
    splits: dict[str, dict[str, Any]] = {}
    for row in whole["rows"]:
        totals = splits.setdefault(row["split"], {"records": 0, "hours": 0.0, "tokens": 0})
        totals["records"] += 1
        totals["hours"] += row["samples"] / rate / 3600
        totals["tokens"] += row["frames"] * levels
    about = {
        "kind": KIND,
        "version": VERSION,
        **{key: (options.tokens or {})[key] for key in ("model", "hash", "beam", "format")},
        "source": options.spec,
        "sample_rate": rate,
        "channels": codec.config.model.audio_channels,
        "frame_rate": codec.config.frame_rate,
        "kbps": codec.config.kbps(levels),
        "codebook_sizes": [size] * levels,
        "records": len(whole["rows"]),
        "hours": round(sum(totals["hours"] for totals in splits.values()), 6),
        "tokens": sum(totals["tokens"] for totals in splits.values()),
        "splits": {name: {**t, "hours": round(t["hours"], 6)} for name, t in sorted(splits.items())},
        "use": [_use(level) for level in counts],
        "skipped": whole["skipped"],
        "damaged": whole["damaged"],
        "shards": dict(sorted(whole["shards"].items())),
    }
    try:
        write_whole(out / NAME, json.dumps(about, indent=1) + "\n")
    except OSError as error:
        raise CodaxError(f"{out / NAME}: cannot be written ({error.strerror or error})") from error
    shutil.rmtree(out / plan.WORK, ignore_errors=True)
    return out / NAME


def _use(counts: np.ndarray) -> dict[str, float]:
    """The share of a codebook's entries that occur, and the perplexity of their frequencies."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return {
        "coverage": round(len(shares) / len(counts), 4),
        "perplexity": round(float(np.exp(-(shares * np.log(shares)).sum())), 2),
    }
