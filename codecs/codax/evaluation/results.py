"""Results of an evaluation: rows per file, summaries per system, and the files that hold them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.evaluation.decoded import DecodedFiles
from codax.evaluation.statistics import Interval, mean_interval, ratio_interval
from codax.evaluation.systems import System
from codax.metrics import builtin, registry, wer
from codax.metrics.codebooks import CodebookUse
from codax.metrics.wer import ErrorCounts
from codax.storage import csv_text
from codax.storage.files import write_whole

FORMAT = "codax-results"
VERSION = 1
_TEXT_KEYS = tuple(value.key for value in builtin.TEXT_VALUES)


@dataclasses.dataclass
class Row:
    """One utterance coded by one system."""

    system: str  # key
    utterance: str
    audio: str  # path of the decoded audio, relative to the folder of results
    seconds: float
    file_bytes: int | None = None
    payload_bytes: int | None = None
    elapsed: float | None = None  # seconds of encoding and decoding
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    counts: dict[str, ErrorCounts] = dataclasses.field(default_factory=dict)
    transcript: str = ""
    heard: str = ""
    errors: dict[str, str] = dataclasses.field(default_factory=dict)  # metric, "audio" or "system" -> reason
    floored: list[str] = dataclasses.field(default_factory=list)  # values of a signal that could not be measured
    streams: int | None = None  # signals coded at the nominal rate each

    def value(self, key: str) -> float | None:
        """A reported value; error rates in per cent."""
        if key in self.counts:
            rate = self.counts[key].rate
            return None if rate is None else 100 * rate
        return self.scores.get(key)


@dataclasses.dataclass
class SystemResult:
    """Summary of one system over all utterances."""

    key: str
    label: str
    series: str
    kind: str
    nominal_kbps: float | None  # of one stream
    streams: tuple[int, int] | None  # least and most in an utterance
    codebooks_used: int | None
    description: str
    utterances: int
    failed: int
    seconds: float
    bits_per_second: Interval | None
    payload_bits_per_second: Interval | None
    real_time_factor: float | None  # seconds of audio per second of coding and decoding, median over utterances
    metrics: dict[str, Interval | None]
    counts: dict[str, ErrorCounts]
    codebooks: CodebookUse | None = None

    @property
    def file_kbps(self) -> float:
        """Measured rate of the files; 0 if it is unknown."""
        return 0.0 if self.bits_per_second is None else self.bits_per_second.mean / 1000


@dataclasses.dataclass
class Results:
    """The results of an evaluation.

    Attributes:
      keys: reported values, in order.
      systems: the original first.
      rows: utterance by utterance.
      about: models, data, settings and versions, for results.json.
    """

    keys: tuple[str, ...]
    systems: list[SystemResult]
    rows: list[Row]
    about: dict[str, Any]

    def system(self, key: str) -> SystemResult:
        return next(s for s in self.systems if s.key == key)

    def failures(self) -> list[dict[str, str]]:
        """Every value that could not be computed, and the reason."""
        return [
            {"system": row.system, "utterance": row.utterance, "metric": metric, "reason": reason}
            for row in self.rows
            for metric, reason in row.errors.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The content of results.json."""
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.about,
            "metrics": {key: dataclasses.asdict(registry.VALUES[key]) for key in self.keys},
            "systems": [self._system(system) for system in self.systems],
            "failures": self.failures(),
        }

    def _system(self, system: SystemResult) -> dict[str, Any]:
        plain = dataclasses.asdict(system)
        counts = plain.pop("counts")
        original = self.systems[0].metrics
        for key, value in plain["metrics"].items():
            if value is None:
                continue
            about = registry.VALUES[key]
            value.update({"unit": about.unit, "better": about.better})
            if note := system.metrics[key].note:  # pyright: ignore[reportOptionalMemberAccess]
                value["note"] = note
            if about.mapping:
                value["mapping"] = about.mapping
            if key in counts:
                value.update(counts[key], reference_length=system.counts[key].reference_length)
            if key in ("wer", "cer") and (floor := original.get(key)) is not None:
                value["original"] = floor.mean
        if system.codebooks is None:
            plain.pop("codebooks")
        else:
            plain["codebooks"]["efficiency"] = system.codebooks.efficiency
        return plain

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """One line per utterance and system."""
        text = [key for key in _TEXT_KEYS if key in self.keys]
        plain = [key for key in self.keys if any(key in row.scores for row in self.rows)]
        header = ["system", "utterance", "audio", "seconds", "file_bytes", "payload_bytes", "bits_per_second"]
        header += ["streams", *plain]
        for key in text:
            header += [key, f"{key}_substitutions", f"{key}_deletions", f"{key}_insertions", f"{key}_reference"]
        header += ["transcript", "heard", "floored", "errors"]
        lines = [header]
        for row in self.rows:
            bps = None if row.file_bytes is None else 8 * row.file_bytes / row.seconds
            line: list[Any] = [row.system, row.utterance, row.audio, f"{row.seconds:.4f}"]
            line += [row.file_bytes, row.payload_bytes, None if bps is None else f"{bps:.1f}"]
            line.append(None if bps is None else row.streams)
            line += [_number(row.value(key)) for key in plain]
            for key in text:
                c = row.counts.get(key)
                line.append(_number(row.value(key)))
                line += [c.substitutions, c.deletions, c.insertions, c.reference_length] if c else [None] * 4
            problems = "; ".join(f"{metric}: {reason}" for metric, reason in row.errors.items())
            lines.append([*line, row.transcript, row.heard, " ".join(row.floored), problems])
        return csv_text.to_csv(lines)

    def write(self, folder: Path) -> None:
        """Writes results.json and per_file.csv."""
        write_whole(folder / "results.json", self.to_json())
        write_whole(folder / "per_file.csv", self.to_csv())


def summarize(
    system: System | DecodedFiles,
    rows: Sequence[Row],
    keys: Sequence[str],
    *,
    seed: int,
    codebooks: CodebookUse | None = None,
    corpus: Mapping[str, Interval | None] | None = None,
) -> SystemResult:
    """Means, pooled rates and intervals of one system.

    Args:
      system: the system.
      rows: its rows, in the order of the utterances.
      keys: values to report.
      seed: of the bootstrap.
      codebooks: statistics of its codes, if it has codes.
      corpus: values that are computed over all utterances together, by key.
    """
    metrics: dict[str, Interval | None] = {}
    counts: dict[str, ErrorCounts] = {}
    coded = sum(row.payload_bytes is not None for row in rows)
    together = {value.key for value in builtin.CONTENT_VALUES} | {v.key for m in registry.POOLED for v in m.values}
    for key in keys:
        if key in _TEXT_KEYS:
            rate = ratio_interval(*errors_and_lengths(rows, key), seed=seed)
            metrics[key] = None if rate is None else rate.scaled(100)
            if scored := [row.counts[key] for row in rows if key in row.counts]:
                counts[key] = wer.pooled(scored)
        elif key in together:
            metrics[key] = (corpus or {}).get(key)
        elif key in _CODE_STATISTICS:
            metrics[key] = (
                None if codebooks is None else _corpus_statistic(_CODE_STATISTICS[key](codebooks), coded, len(rows))
            )
        else:
            metrics[key] = mean_interval([row.scores.get(key) for row in rows], seed=seed)
        metrics[key] = with_floored(metrics[key], sum(key in row.floored for row in rows))
    streams = {row.streams for row in rows if row.streams is not None and row.file_bytes is not None}
    seconds = [row.seconds for row in rows]
    speeds = [row.seconds / row.elapsed for row in rows if row.elapsed]
    return SystemResult(
        key=system.key,
        label=_label(system.label, streams),
        series=system.series,
        kind=system.kind,
        nominal_kbps=system.kbps,
        streams=(min(streams), max(streams)) if streams else None,
        codebooks_used=system.quantizers,
        description=system.description,
        utterances=len(rows),
        failed=sum(bool(row.errors) for row in rows),
        seconds=sum(row.seconds for row in rows),
        bits_per_second=ratio_interval([_bits(row.file_bytes) for row in rows], seconds, seed=seed),
        payload_bits_per_second=ratio_interval([_bits(row.payload_bytes) for row in rows], seconds, seed=seed),
        real_time_factor=float(np.median(speeds)) if speeds and system.kind != "original" else None,
        metrics=metrics,
        counts=counts,
        codebooks=codebooks,
    )


_CODE_STATISTICS = {
    "codebook_use": lambda use: 100 * float(np.mean(use.use)),
    "perplexity": lambda use: float(np.mean(use.perplexity)),
    "entropy_kbps": lambda use: use.entropy_bps / 1000,
}


def _corpus_statistic(value: float, n: int, of: int) -> Interval:
    """A statistic of the whole corpus. It has no interval, because resampling utterances would bias the entropy."""
    return Interval(value, value, value, n, of)


def errors_and_lengths(rows: Sequence[Row], key: str) -> tuple[list[float], list[float]]:
    """Errors and reference lengths of an error rate, one per row; NaN where it was not measured."""
    counts = [row.counts.get(key) for row in rows]
    return [c.errors if c else math.nan for c in counts], [c.reference_length if c else math.nan for c in counts]


def with_floored(interval: Interval | None, count: int) -> Interval | None:
    """An interval with the number of its values that are the metric's floor."""
    return None if interval is None else dataclasses.replace(interval, floored=count)


def _label(label: str, streams: set[int]) -> str:
    """The label of a system with the factor of its nominal rate, such as "model 6 kbps x 2", if there is one."""
    if streams <= {1}:
        return label
    return f"{label} x {min(streams)}" + (f" to {max(streams)}" if len(streams) > 1 else "")


def _bits(size: int | None) -> float:
    return math.nan if size is None else 8.0 * size


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
