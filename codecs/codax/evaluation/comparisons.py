"""Paired differences between systems, with bootstrap intervals over utterances.

The intervals of two systems often overlap although one of them is better on nearly every utterance: the difference
cancels what the utterances have in common.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from codax.evaluation.results import Results, Row, errors_and_lengths, with_floored
from codax.evaluation.statistics import Interval, difference_interval
from codax.metrics import registry
from codax.storage import csv_text
from codax.storage.files import write_whole

NAME = "comparisons.csv"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One metric of two systems.

    Attributes:
      metric: key of the value.
      first, second: keys of the systems.
      difference: first minus second, over the utterances that both have; error rates are pooled, in per cent.
        `floored` counts the pairs in which a signal could not be measured.
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
    sides = [[pair[i] for pair in pairs] for i in range(2)]
    if any(key in row.counts for row in first):
        (errors, lengths), (other_errors, other_lengths) = (errors_and_lengths(side, key) for side in sides)
        difference = difference_interval(errors, other_errors, lengths, other_lengths, seed=seed)
        difference = None if difference is None else difference.scaled(100)
    else:
        scores = [[row.scores.get(key, math.nan) for row in side] for side in sides]
        ones = [1.0] * len(pairs)
        difference = difference_interval(scores[0], scores[1], ones, ones, seed=seed)
    return with_floored(difference, sum(key in a.floored or key in b.floored for a, b in pairs))


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One line per comparison."""
    header = ["metric", "unit", "better", "first", "second", "difference", "low", "high", "utterances", "of", "floored"]
    rows: list[list[object]] = []
    for c in comparisons:
        value, d = registry.VALUES[c.metric], c.difference
        numbers = [f"{x:.6g}" for x in (d.mean, d.low, d.high)]
        rows.append([c.metric, value.unit, value.better, c.first, c.second, *numbers, d.n, d.of, d.floored])
    return csv_text.to_csv([header, *rows])


def write(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Writes comparisons.csv."""
    write_whole(folder / NAME, to_csv(comparisons))
