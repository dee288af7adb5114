"""Outcome of a listening test: summaries of its stimuli, comparisons, and notes."""

from __future__ import annotations

import dataclasses
from typing import Any

from codax.listening.screening import Dropped
from codax.listening.statistics import Summary


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two stimuli rated by the same listeners on the same items; differences are first - second.

    Attributes:
      pairs: number of pairs, listeners x items.
      p: of the permutation test; `adjusted` is corrected for the number of comparisons.
      effect: Cohen's d of the differences.
      detectable: difference that the test detects with 80 % power.
    """

    first: str
    second: str
    pairs: int
    difference: float
    effect: float | None
    detectable: float | None
    p: float
    adjusted: float


@dataclasses.dataclass(frozen=True)
class Outlier:
    """A rating far from those of the other listeners, for manual inspection."""

    listener: str
    item: str
    stimulus: str
    score: float


@dataclasses.dataclass(frozen=True)
class AbxResult:
    """How often listeners distinguished a system from the reference; `listeners` has (correct, trials) by listener."""

    system: str
    correct: int
    trials: int
    p: float
    adjusted: float
    listeners: dict[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Analysis:
    """Result of a listening test.

    Attributes:
      content: of analysis.json.
      overall: summary by stimulus over all items, best median first.
      comparisons: between systems and with the hidden reference.
      abx: of an ABX test.
      dropped: listeners excluded by the screening.
      notes: one line each.
    """

    content: dict[str, Any]
    overall: dict[str, Summary]
    comparisons: list[Comparison]
    abx: list[AbxResult]
    dropped: list[Dropped]
    notes: list[str]
