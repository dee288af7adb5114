"""The plots of an evaluation as data: every metric against bit rate, and some against the number of codebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from codax.evaluation.results import Results, SystemResult
from codax.evaluation.statistics import Interval
from codax.metrics import registry

_SPLIT = ("wer", "speaker")
_HIDDEN = ("codebook_use", "perplexity", "entropy_kbps")  # not measures of quality
_ROOM = 0.06  # of the range of the points, at both ends of the vertical axis


@dataclasses.dataclass(frozen=True)
class Point:
    """A system in a panel: its label, its place on the horizontal axis, and the value."""

    label: str
    x: float
    value: Interval


@dataclasses.dataclass(frozen=True)
class Line:
    """The points of a series; `style` is the number of its colour and marker, the same in every panel."""

    name: str
    style: int
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One metric.

    Attributes:
      key: of the metric.
      axis: name of the horizontal axis.
      lines: at least one, with at least one point each.
      original: value of the original; None if it has none.
      right: end of the horizontal axis, which begins at 0.
    """

    key: str
    axis: str
    lines: tuple[Line, ...]
    original: float | None
    right: float

    @property
    def title(self) -> str:
        value = registry.VALUES[self.key]
        arrow = f" ({value.better} is better)" if value.sign else ""
        return f"{value.label}{f', {value.unit}' if value.unit else ''}{arrow}"

    @property
    def original_note(self) -> str:
        """What to write instead of the original's line if that would flatten the others; "" if it is drawn."""
        if self.original is None or self._reaches(self.original):
            return ""
        side = "above" if self.original > self._extent[1] else "below"
        return f"original: {self.original:.{registry.VALUES[self.key].digits}f}, {side} this range"

    @property
    def range(self) -> tuple[float, float]:
        """The vertical axis: intervals and the original, from 0 for shares in per cent."""
        low, high = self._extent
        if self.original is not None and self._reaches(self.original):
            low, high = min(low, self.original), max(high, self.original)
        room = _ROOM * (high - low)
        is_share = registry.VALUES[self.key].unit == "%" and low >= 0
        return (0.0 if is_share else low - room), high + room

    @property
    def _extent(self) -> tuple[float, float]:
        """Least and largest value of the points and their intervals, never equal."""
        values = [point.value for line in self.lines for point in line.points]
        low, high = min(min(v.low, v.mean) for v in values), max(max(v.high, v.mean) for v in values)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - max(0.05 * abs(low), 0.5), high + max(0.05 * abs(high), 0.5)
        return low, high

    def _reaches(self, value: float) -> bool:
        low, high = self._extent
        return 2 * low - high <= value <= 2 * high - low


def rate_quality(results: Results) -> list[Panel]:
    """One panel for each metric that a system with a bit rate has a value for."""
    systems = [s for s in results.systems if s.bits_per_second is not None]
    keys = [key for key in results.keys if key not in _HIDDEN]
    panels = [_panel(results, systems, key, "measured kbps of the files", lambda s: s.file_kbps) for key in keys]
    return [panel for panel in panels if panel.lines]


def information_split(results: Results) -> list[Panel]:
    """Word error rate and speaker similarity against the number of codebooks.

    Empty if no codec has both values for two numbers of codebooks.
    """
    able = [s for s in results.systems if s.codebooks_used and all(s.metrics.get(key) for key in _SPLIT)]
    several = [s for s in able if sum(other.series == s.series for other in able) > 1]
    return [_panel(results, several, key, "number of codebooks", _codebooks) for key in _SPLIT] if several else []


def _panel(
    results: Results, systems: Sequence[SystemResult], key: str, axis: str, place: Callable[[SystemResult], float]
) -> Panel:
    """A panel of the systems that have a value."""
    series = list(dict.fromkeys(s.series for s in results.systems if s.kind != "original"))
    lines = []
    for style, name in enumerate(series):
        points = [
            Point(s.label, place(s), value)
            for s in systems
            if s.series == name and (value := s.metrics.get(key)) is not None
        ]
        if points:
            lines.append(Line(name, style, tuple(sorted(points, key=lambda point: point.x))))
    original = results.systems[0].metrics.get(key)
    right = 1.06 * max([1e-3, *(place(s) for s in systems)])
    return Panel(key, axis, tuple(lines), None if original is None else original.mean, right)


def _codebooks(system: SystemResult) -> float:
    return float(system.codebooks_used or 0)
