"""`codax tokenize`: encodes a source into shards of tokens.

The parts and reports are those of shards of audio (`codax.data.shards`): an interrupted build resumes with the
unfinished parts, and gives the same bytes as an uninterrupted one.
"""

from __future__ import annotations

import collections
import functools
import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.codec.checks import checked_levels, chosen_levels
from codax.codec.codec import Codec
from codax.codec.tokens import Tokens
from codax.config import DataConfig
from codax.data.shards import build, parts, plan
from codax.data.shards.plan import Options, Part
from codax.errors import CodaxError
from codax.runtime.progress import Progress
from codax.storage.files import write_whole
from codax.storage.staging import only_writer
from codax.tokens import shards
from codax.tokens.dataset import KIND, NAME, VERSION
from codax.tokens.encoding import Encoder


def build_tokens(
    spec: str,
    out: Path,
    codec: Codec,
    *,
    kbps: float | None = None,
    num_quantizers: int | None = None,
    form: str = "parquet",
    max_seconds: float = 300.0,
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
      workers: threads that read, and on a CPU encode; None = one per core.
      config: what to skip, and how to split sources without splits.

    Returns:
      The path of dataset.json.

    Raises:
      CodaxError: the model does not have this bit rate, the source has no usable audio, `out` is in use or holds
        tokens of another model, or the disk is full.
    """
    if form not in shards.FORMATS:
        raise CodaxError(f"unknown format {form!r}: expected {' or '.join(shards.FORMATS)}")
    if form == "parquet":
        shards.parquet()
    levels = checked_levels(codec.config, chosen_levels(codec.config, kbps, num_quantizers))
    identity = {"model": codec.model_id, "hash": codec.hash.hex(), "quantizers": levels, "format": form}
    identity["beam"] = getattr(codec.config.quantizer, "beam", 1)
    rate = codec.config.model.sample_rate
    options = Options(spec, rate, max_seconds, shard_mb, config or DataConfig(), identity)
    with only_writer(out):
        planned = plan.prepare(out, options, finished=NAME, suffix=shards.suffix(form))
        missing = build.unfinished(out, planned)
        with _Shown(planned, missing) as shown, Encoder(codec, levels, workers) as encode:
            for part in missing:
                _build_part(out, part.position, codec, encode, shown)
        return _finish(out, options, codec, [part.report for part in planned])


class _Shown(Progress):
    """Shows the files done, with the hours of audio encoded now, and their speed."""

    def __init__(self, planned: Sequence[plan.PlannedPart], missing: Sequence[plan.PlannedPart]):
        total = sum(part.count for part in planned) if all(part.count for part in planned) else 0
        super().__init__("tokenize", total, brief=True)
        self._files, self._seconds, self._since = total - sum(part.count for part in missing if total), 0.0, time.time()

    def add(self, seconds: float) -> None:
        """Adds a file of this duration; 0 = skipped."""
        self._files, self._seconds = self._files + 1, self._seconds + seconds
        speed = self._seconds / max(time.time() - self._since, 1e-3)
        self.reach(self._files, f"{self._seconds / 3600:.2f} h, {speed:.0f}x real time")


def _build_part(out: Path, position: int, codec: Codec, encode: Encoder, shown: _Shown) -> None:
    """Writes the shards of a part, then its report."""
    options, part = plan.read(out, position)
    tally, writers = parts.Tally(), _Writers(out, part, options, codec)
    for reading in encode(functools.partial(parts.readings, part, options)):
        for split, meta, tokens in reading.records:
            writers.write(split, meta, tokens)
        tally.update(reading.tally)
        shown.add(sum(tokens.length for _, _, tokens in reading.records) / options.sample_rate)
    report = {"rows": writers.rows, "shards": writers.finish(), "counts": writers.counts, **tally.facts()}
    parts.write_report(out / plan.WORK / part.report, report)


class _Writers:
    """Collects the records of a part by split, and writes a shard when its audio has the size of one."""

    def __init__(self, out: Path, part: Part, options: Options, codec: Codec):
        self._out, self._part, self._options = out, part, options
        self._identity: dict[str, Any] = options.tokens or {}
        self._frame_rate, size = codec.config.frame_rate, codec.config.quantizer.codebook_size
        self._type = shards.code_type([size])
        self._pending: dict[str, list[shards.Record]] = collections.defaultdict(list)
        self._size: Counter[str] = Counter()
        self._number: Counter[str] = Counter()
        self._shards: dict[str, dict[str, Any]] = {}
        self._totals: dict[str, dict[str, int]] = {}
        self._counts = np.zeros((self._identity["quantizers"], size), np.int64)

    def write(self, split: str, meta: dict[str, Any], tokens: Tokens) -> None:
        codes = tokens.codes[0]
        record = {name: meta[name] for name in ("id", *shards.TEXTS) if meta.get(name)}
        record |= {"length": tokens.length, "sample_rate": tokens.sample_rate, "channels": tokens.channels}
        record |= {"frame_rate": self._frame_rate, "codes": codes.astype(self._type)}
        if tokens.scales is not None:
            record["scales"] = [float(scale) for scale in tokens.scales[0]]
        for i, level in enumerate(codes.T):
            self._counts[i] += np.bincount(level, minlength=self._counts.shape[1])
        totals = self._totals.setdefault(split, {"records": 0, "frames": 0, "samples": 0})
        for name, number in (("records", 1), ("frames", len(codes)), ("samples", tokens.length)):
            totals[name] += number
        self._pending[split].append(record)
        self._size[split] += 2 * tokens.length * tokens.channels
        if self._size[split] > self._options.shard_mb << 20:
            self._flush(split)

    def _flush(self, split: str) -> None:
        form = self._identity["format"]
        name = f"{split}-{self._part.name}-{self._number[split]:02d}{shards.suffix(form)}"
        rows = self._pending.pop(split)
        self._shards[name] = shards.write(self._out / name, form, rows, self._out / plan.WORK, self._identity["hash"])
        self._number[split] += 1
        self._size[split] = 0

    def finish(self) -> dict[str, dict[str, Any]]:
        for split in sorted(self._pending):
            self._flush(split)
        return self._shards

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Totals of each split."""
        return [{"split": split, **totals} for split, totals in self._totals.items()]

    @property
    def counts(self) -> list[list[int]]:
        """The uses of each entry of each level."""
        return self._counts.tolist()


def _finish(out: Path, options: Options, codec: Codec, reports: list[Path]) -> Path:
    """Writes dataset.json, and removes the work folder."""
    whole, identity = build.joined(out, reports), options.tokens or {}
    build.report_skipped(out, options.spec, whole)
    levels, size, rate = identity["quantizers"], codec.config.quantizer.codebook_size, options.sample_rate
    counts = np.zeros((levels, size), np.int64)
    for path in reports:
        counts += np.asarray((parts.read_report(out, path) or {})["counts"])
    splits: dict[str, Counter[str]] = collections.defaultdict(Counter)
    for row in whole["rows"]:
        splits[row["split"]].update({name: row[name] for name in ("records", "frames", "samples")})
    total = sum(splits.values(), Counter())

    def facts(totals: Counter[str]) -> dict[str, Any]:
        hours = round(totals["samples"] / rate / 3600, 6)
        return {"records": totals["records"], "hours": hours, "tokens": totals["frames"] * levels}

    about = {
        "kind": KIND,
        "version": VERSION,
        **{key: identity[key] for key in ("model", "hash", "beam", "format")},
        "source": options.spec,
        "max_seconds": options.max_seconds,
        "sample_rate": rate,
        "channels": codec.config.model.audio_channels,
        "frame_rate": codec.config.frame_rate,
        "kbps": codec.config.kbps(levels),
        "codebook_sizes": [size] * levels,
        **facts(total),
        "splits": {name: facts(totals) for name, totals in sorted(splits.items())},
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
