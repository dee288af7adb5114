"""The summary as a table in the terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from codax.evaluation.results import Results, SystemResult
from codax.evaluation.statistics import Interval
from codax.metrics import registry
from codax.runtime import tables

_HIDDEN = (
    "visqol_exponential",
    "dcer",
    "estoi",
    "perplexity",
    "nisqa_noisiness",
    "nisqa_discontinuity",
    "nisqa_coloration",
    "nisqa_loudness",
)  # in files and report; terminals are narrow
MISSING = "-"


def cell(interval: Interval | None, key: str) -> str:
    """A value with half the width of its interval, for example `3.46 ±0.05`, and the note of a partial mean."""
    if interval is None:
        return MISSING
    digits = registry.VALUES[key].digits
    text = f"{interval.mean:.{digits}f}"
    half = f"{(interval.high - interval.low) / 2:.{digits}f}"
    return _noted(f"{text} ±{half}" if float(half) > 0 else text, interval)


def kbps(interval: Interval | None) -> str:
    """Bits per second as kilobits with two decimals."""
    return MISSING if interval is None else _noted(f"{interval.mean / 1000:.2f}", interval)


def _noted(text: str, interval: Interval) -> str:
    return f"{text} ({interval.note})" if interval.note else text


def heading(key: str) -> str:
    about = registry.VALUES[key]
    return f"{about.label} {about.unit}".strip() if about.unit in ("%", "dB", "kbps") else about.label


def columns(results: Results) -> list[str]:
    """Keys of the metrics for the terminal, without those that no system has a value for."""
    return [
        key
        for key in results.keys
        if key not in _HIDDEN and any(s.metrics.get(key) is not None for s in results.systems)
    ]


def format_table(results: Results) -> str:
    """The table as plain text, with a caption above and failures below."""
    keys = columns(results)
    text = tables.plain(_head(keys), [_line(system, keys) for system in results.systems])
    return "\n".join([caption(results), *(line.rstrip() for line in text), *notes(results)])


def print_table(results: Results, file: TextIO | None = None) -> None:
    """Prints the table: on a terminal as wide as it, otherwise as plain text."""
    target = file or sys.stdout
    if not target.isatty():
        print(format_table(results), file=target)
        return
    keys = columns(results)
    rows = [_line(system, keys) for system in results.systems]
    tables.show(_head(keys), rows, title=caption(results), file=target)
    for note in notes(results):
        print(note, file=target)


def _head(keys: list[str]) -> list[str]:
    return ["system", "kbps file", "kbps codes", *(heading(key) for key in keys)]


def caption(results: Results) -> str:
    return f"{subject(results)}; ± half the 95 % bootstrap interval"


def subject(results: Results) -> str:
    """Description of the data."""
    data, protocol = results.about["data"], ""
    if about := results.about.get("protocol"):
        protocol = "; ".join([f", protocol {about['name']}", *about["departures"]])
    return (
        f"{data['spec']} ({data['split']}): {data['utterances']} utterances, {results.systems[0].seconds:.0f} s at "
        f"{data['sample_rate']} Hz{protocol}"
    )


def notes(results: Results) -> list[str]:
    """Summary of the failures, in one or two lines."""
    failures = results.failures()
    if not failures:
        return []
    first = failures[0]
    many = len({(f["system"], f["utterance"]) for f in failures})
    return [
        f"{many} of {len(results.rows)} signals could not be measured completely; the first: {first['system']}, "
        f"{first['utterance']}, {first['metric']}: {first['reason']}"
    ]


def _line(system: SystemResult, keys: list[str]) -> list[str]:
    rates = [kbps(system.bits_per_second), kbps(system.payload_bits_per_second)]
    return [system.label, *rates, *(cell(system.metrics.get(key), key) for key in keys)]
