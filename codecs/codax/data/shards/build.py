"""Builds shards from any source: audio is decoded and resampled once, so that training only reads.

The source is divided into parts (`shards/plan.py`); an engine, threads of this process or Apache Beam, makes shards of
each part (`shards/parts.py`). An interrupted build resumes with the unfinished parts and gives the same files as an
uninterrupted one, with any combination of engines.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from codax.config import DataConfig
from codax.data import manifest
from codax.data.shards import parts, plan
from codax.data.sources import scan
from codax.errors import CodaxError
from codax.runtime import cores
from codax.runtime.progress import Progress
from codax.storage import strict_json
from codax.storage.files import write_whole
from codax.storage.staging import only_writer

STATISTICS = "statistics.json"
Engine = Callable[[Sequence[Any], Callable[[Any], Any]], None]  # calls the function on each item
_log = logging.getLogger(__name__)


def build_shards(
    spec: str,
    out: Path,
    *,
    sample_rate: int,
    max_seconds: float = 30.0,
    shard_mb: int = 256,
    config: DataConfig | None = None,
    engine: Engine | None = None,
) -> Path:
    """Writes `out/SPLIT-NNNNN-NN.array_record`, `out/statistics.json` and, last, `out/manifest.jsonl`.

    Args:
      spec: any source, tar files in WebDataset's layout, or parquet files of a dataset.
      out: folder; created if needed. Must be empty, or hold an unfinished build with the same options.
      sample_rate: Hz of the shards.
      max_seconds: longer files are split into several records, so that a random read stays cheap.
      shard_mb: maximum size of a shard in megabytes.
      config: what to skip, and how to split sources without splits.
      engine: executes the parts; None = `in_threads`.

    Returns:
      The path of the manifest; it is itself a source, as is `out`.

    Raises:
      CodaxError: the source has no usable audio, `out` is in use, or the disk is full.
    """
    options = plan.Options(spec, sample_rate, max_seconds, shard_mb, config or DataConfig())
    with only_writer(out):
        planned = plan.prepare(out, options)
        if missing := unfinished(out, planned):
            (engine or in_threads)(
                [part.position for part in missing], functools.partial(parts.build_part, str(out.absolute()))
            )
        return _finish(out, options, [part.report for part in planned])


def check_options(out: Path, given: dict[str, Any]) -> None:
    """Compares options of `build_shards` by name with those of the finished build in `out`.

    Raises:
      CodaxError: one of them differs, or they are not known.
    """
    if not given:
        return
    known = strict_json.read_object(out / STATISTICS, "table of statistics")
    for name, value in given.items():
        if known.get(name) != value:
            option = "SOURCE" if name == "spec" else f"--{name.replace('_', '-')}"
            raise CodaxError(f"{out}: holds shards made with {option} {known.get(name)}, not {value}")


def unfinished(out: Path, planned: Sequence[plan.PlannedPart]) -> list[plan.PlannedPart]:
    """The parts without a report; warns if an interrupted build resumes with them."""
    missing = [part for part in planned if parts.read_report(out, part.report) is None]
    if len(missing) < len(planned):
        _log.warning("%s: resumes: %d of %d parts are done", out, len(planned) - len(missing), len(planned))
    return missing


def in_threads(items: Sequence[Any], work: Callable[[Any], Any]) -> None:
    """Applies `work` to the items, with one thread per processor; raises the first failure after the running items."""
    with (
        Progress("build shards", len(items), unit="parts") as progress,
        concurrent.futures.ThreadPoolExecutor(cores.usable()) as pool,
    ):
        running = [pool.submit(work, item) for item in items]
        try:
            for done in concurrent.futures.as_completed(running):
                done.result()
                progress.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def joined(out: Path, reports: Iterable[Path]) -> dict[str, Any]:
    """Joins the reports of all parts: their rows, shards, counts, and skipped and damaged files.

    Raises:
      CodaxError: a report is missing.
    """
    whole: dict[str, Any] = {"rows": [], "shards": {}, "rates": Counter(), "skipped": {}, "damaged": {}}
    for path in reports:
        report = parts.read_report(out, path)
        if report is None:
            raise CodaxError(f"{out}: the report {path.name} is missing; start the build again")
        whole["rows"] += report["rows"]
        whole["shards"] |= report["shards"]
        whole["rates"].update(report["rates"])
        whole["damaged"] |= report["damaged"]
        for reason, group in report["skipped"].items():
            total = whole["skipped"].setdefault(reason, {"count": 0, "examples": []})
            total["count"] += group["count"]
            total["examples"] = (total["examples"] + group["examples"])[: scan.NAMES_SHOWN]
    return whole


def report_skipped(out: Path, spec: str, whole: dict[str, Any]) -> None:
    """Warns of damaged and skipped files. Raises CodaxError, and removes the unfinished build, if nothing is left."""
    skipped, damaged = whole["skipped"], whole["damaged"]
    for path, reason in damaged.items():
        _log.warning("%s: %s; the audio before that was used", path, reason)
    if skipped:
        _log.warning("%s: %s", spec, _described(skipped))
    if not whole["rows"]:
        shutil.rmtree(out / plan.WORK, ignore_errors=True)
        with contextlib.suppress(OSError):  # it has other contents
            out.rmdir()
        reasons = [f"{path}: {reason}" for path, reason in damaged.items()][: scan.NAMES_SHOWN]
        raise CodaxError(f"{spec}: nothing to build: {'; '.join([*reasons, _described(skipped)])}")


def _finish(out: Path, options: plan.Options, reports: Iterable[Path]) -> Path:
    """Writes the statistics and the manifest, and removes the work folder."""
    whole = joined(out, reports)
    rows, skipped, damaged = whole["rows"], whole["skipped"], whole["damaged"]
    report_skipped(out, options.spec, whole)
    by_split: dict[str, dict[str, Any]] = {}
    for row in rows:
        totals = by_split.setdefault(row["split"], {"records": 0, "frames": 0, "with_text": 0})
        totals["records"] += 1
        totals["frames"] += row["frames"]
        totals["with_text"] += "text" in row
    for totals in by_split.values():
        totals["hours"] = round(totals.pop("frames") / options.sample_rate / 3600, 6)
    facts = {
        **{key: value for key, value in options.row().items() if key != "config"},
        "hours": round(sum(row["frames"] for row in rows) / options.sample_rate / 3600, 6),
        "records": len(rows),
        "utterances": whole["rates"].total(),
        "rates": dict(sorted(whole["rates"].items(), key=lambda item: int(item[0]))),
        "splits": dict(sorted(by_split.items())),
        "skipped": skipped,
        "damaged": damaged,
        "shards": whole["shards"],
    }
    try:
        write_whole(out / STATISTICS, json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise CodaxError(f"{out / STATISTICS}: cannot be written ({error.strerror or error})") from error
    manifest.write(out / manifest.NAME, rows)
    shutil.rmtree(out / plan.WORK, ignore_errors=True)
    return out / manifest.NAME


def _described(skipped: dict[str, dict[str, Any]]) -> str:
    """For example `5 skipped: 3 silent (a.wav, b.wav, c.wav), 2 shorter than 0.3 s (d.wav, e.wav)`."""
    described = []
    for reason, group in skipped.items():
        more = group["count"] - len(group["examples"])
        names = ", ".join(group["examples"]) + (f" and {more} more" if more else "")
        described.append(f"{group['count']} {reason} ({names})")
    return f"{sum(group['count'] for group in skipped.values())} skipped: {', '.join(described) or 'none'}"
