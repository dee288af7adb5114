"""Paired differences between systems, with bootstrap intervals over utterances.

The intervals of two systems often overlap although one of them is better on nearly every utterance: the difference
cancels what the utterances have in common.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

from codax.evaluation.results import Results, Row
from codax.evaluation.statistics import Interval, difference_interval
from codax.metrics import registry
from codax.storage.files import write_whole

NAME = "comparisons.csv"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One metric of two systems.

    Attributes:
      metric: key of the value.
      first, second: keys of the systems.
      difference: first minus second, over the utterances that both have; error rates are pooled, in per cent.
    """

    metric: str
    first: str
    second: str
    difference: Interval

    @property
    def distinct(self) -> bool:
        """Whether the 95 % interval excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0


def compare(results: Results, *, seed: int = 0) -> list[Comparison]:
    """Compares every pair of systems but the original by every metric with values per utterance."""
    rows: dict[str, list[Row]] = {}
    for row in results.rows:
        rows.setdefault(row.system, []).append(row)
    systems = [system.key for system in results.systems if system.kind != "original"]
    result = []
    for first, second in itertools.combinations(systems, 2):
        for key in results.keys:
            difference = _difference(rows[first], rows[second], key, seed)
            if difference is not None:
                result.append(Comparison(key, first, second, difference))
    return result


def _difference(first: Sequence[Row], second: Sequence[Row], key: str, seed: int) -> Interval | None:
    both = {row.utterance: row for row in second}
    pairs = [(row, both[row.utterance]) for row in first if row.utterance in both]
    counts = [(a.counts[key], b.counts[key]) for a, b in pairs if key in a.counts and key in b.counts]
    if counts:
        errors = ([pair[i].errors for pair in counts] for i in range(2))
        lengths = ([pair[i].reference_length for pair in counts] for i in range(2))
        difference = difference_interval(*errors, *lengths, seed=seed)
        return None if difference is None else difference.scaled(100)
    scores = [(a.scores[key], b.scores[key]) for a, b in pairs if key in a.scores and key in b.scores]
    if not scores:
        return None
    ones = [1.0] * len(scores)
    return difference_interval([a for a, _ in scores], [b for _, b in scores], ones, ones, seed=seed)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One line per comparison."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["metric", "unit", "better", "first", "second", "difference", "low", "high", "utterances"])
    for c in comparisons:
        value, d = registry.VALUES[c.metric], c.difference
        numbers = [f"{x:.6g}" for x in (d.mean, d.low, d.high)]
        writer.writerow([c.metric, value.unit, value.better, c.first, c.second, *numbers, d.n])
    return out.getvalue()


def write(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Writes comparisons.csv."""
    write_whole(folder / NAME, to_csv(comparisons))
