"""Turns any source into shards: decoded and resampled once, so that training only reads.

The source is cut into parts (`shards/plan.py`), which an engine makes into shards (`shards/parts.py`): threads of this
process, or Apache Beam. A build that was interrupted goes on with the parts that are not done, and ends with the
same files as an undisturbed one, whichever engines had a hand in it.
"""

from __future__ import annotations

import concurrent.futures
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
from codax.storage.files import write_whole

STATISTICS = "statistics.json"
Engine = Callable[[Sequence[Any], Callable[[Any], Any]], None]  # calls the function with each of the items
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
      spec: any source, tar files in WebDataset's style, or parquet files of a dataset.
      out: folder; created. Must hold nothing yet, or an unfinished build of the same.
      sample_rate: Hz of the shards.
      max_seconds: longer files become several records, so that a random read stays cheap.
      shard_mb: megabytes at which a shard is cut.
      config: what to skip, and how sources without splits are divided.
      engine: makes the parts; None = `in_threads`.

    Returns:
      The manifest, which is itself a source, as `out` is.

    Raises:
      CodaxError: nothing usable in the source, `out` in use, full disk.
    """
    options = plan.Options(spec, sample_rate, max_seconds, shard_mb, config or DataConfig())
    places = plan.prepare(out, options)
    left = [place.position for place in places if parts.read_report(out, place.report) is None]
    if len(left) < len(places):
        _log.warning("%s: goes on: %d of %d parts are done", out, len(places) - len(left), len(places))
    if left:
        (engine or in_threads)(left, functools.partial(parts.build_part, str(out.absolute())))
    return _finish(out, options, [place.report for place in places])


def in_threads(items: Sequence[Any], work: Callable[[Any], Any]) -> None:
    """Works on items with a thread for each processor; the first failure ends it, once the items in hand are done."""
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


def _finish(out: Path, options: plan.Options, reports: Iterable[Path]) -> Path:
    """Writes what stands beside the shards, and removes what an unfinished build has."""
    rows: list[dict[str, Any]] = []
    shards: dict[str, Any] = {}
    rates: Counter[str] = Counter()
    skipped: dict[str, dict[str, Any]] = {}
    damaged: dict[str, str] = {}
    for path in reports:
        report = parts.read_report(out, path)
        if report is None:
            raise CodaxError(f"{out}: the part of {path.name} is missing; start the build again")
        rows += report["rows"]
        shards |= report["shards"]
        rates.update(report["rates"])
        damaged |= report["damaged"]
        for reason, some in report["skipped"].items():
            all_of_it = skipped.setdefault(reason, {"count": 0, "examples": []})
            all_of_it["count"] += some["count"]
            all_of_it["examples"] = (all_of_it["examples"] + some["examples"])[: scan.NAMES_SHOWN]
    for path, reason in damaged.items():
        _log.warning("%s: %s; what came before was used", path, reason)
    if skipped:
        _log.warning("%s: %s", options.spec, _described(skipped))
    if not rows:
        reasons = [f"{path}: {reason}" for path, reason in damaged.items()][: scan.NAMES_SHOWN]
        raise CodaxError(f"{options.spec}: nothing to build: {'; '.join([*reasons, _described(skipped)])}")
    by_split: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = by_split.setdefault(row["split"], {"records": 0, "frames": 0, "with_text": 0})
        one["records"] += 1
        one["frames"] += row["frames"]
        one["with_text"] += "text" in row
    for one in by_split.values():
        one["hours"] = round(one.pop("frames") / options.sample_rate / 3600, 6)
    facts = {
        **{key: value for key, value in options.row().items() if key != "config"},
        "hours": round(sum(row["frames"] for row in rows) / options.sample_rate / 3600, 6),
        "records": len(rows),
        "utterances": rates.total(),
        "rates": dict(sorted(rates.items(), key=lambda item: int(item[0]))),
        "splits": dict(sorted(by_split.items())),
        "skipped": skipped,
        "damaged": damaged,
        "shards": shards,
    }
    try:
        write_whole(out / STATISTICS, json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise CodaxError(f"{out / STATISTICS}: cannot be written ({error.strerror or error})") from error
    manifest.write(out / manifest.NAME, rows)
    shutil.rmtree(out / plan.WORK, ignore_errors=True)
    return out / manifest.NAME


def _described(skipped: dict[str, dict[str, Any]]) -> str:
    """`5 skipped: 3 silent (a.wav, b.wav, c.wav), 2 shorter than 0.3 s (d.wav, e.wav)`."""
    described = []
    for reason, some in skipped.items():
        more = some["count"] - len(some["examples"])
        names = ", ".join(some["examples"]) + (f" and {more} more" if more else "")
        described.append(f"{some['count']} {reason} ({names})")
    return f"{sum(some['count'] for some in skipped.values())} skipped: {', '.join(described) or 'none'}"
