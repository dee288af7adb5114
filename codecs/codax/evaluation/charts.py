"""Panels as SVG inside the report: text as text, colours from the page's style sheet, so that dark mode applies."""

from __future__ import annotations

import math

from codax.evaluation.panels import Panel, Point
from codax.metrics import registry

_TICKS = 5  # at most on an axis, about
# Paths around 0 in units of the picture: circle, square, diamond, triangles, plus, cross.
_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.6 -3.6h7.2v7.2h-7.2z",
    "M0 -5L5 0L0 5L-5 0z",
    "M0 -5L4.6 3.6H-4.6z",
    "M0 5L4.6 -3.6H-4.6z",
    "M-1.6 -5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "M-5 -2.8L-2.8 -5L0 -2.2L2.8 -5L5 -2.8L2.2 0L5 2.8L2.8 5L0 2.2L-2.8 5L-5 2.8L-2.2 0z",
)


class Chart:
    """A panel with the geometry that `templates/chart.html` draws, in units of the picture."""

    width, height = 400, 270
    left, right, top, bottom = 46, 392, 10, 228

    def __init__(self, panel: Panel):
        self.panel = panel
        self._low, self._high = panel.range

    def x(self, value: float) -> float:
        return round(self.left + (self.right - self.left) * value / self.panel.right, 1)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(self.bottom - (self.bottom - self.top) * share, 1)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        return [(self.x(value), text) for value, text in ticks(0.0, self.panel.right)]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        return [(self.y(value), text) for value, text in ticks(self._low, self._high)]

    def describe(self, point: Point) -> str:
        """The numbers of a point, in words."""
        digits, value = registry.VALUES[self.panel.key].digits, point.value
        mean, low, high = (f"{number:.{digits}f}" for number in (value.mean, value.low, value.high))
        parts = [f"{point.label}: {mean}", f"{low} to {high}" if low != high else "", value.note]
        return "; ".join([*filter(None, parts), f"{point.x:.4g} {self.panel.axis}"])


def marker(style: int) -> str:
    """The path of a series' marker."""
    return _MARKERS[style % len(_MARKERS)]


def colour(style: int) -> str:
    """The class of a series' colour in the style sheet."""
    return f"series{style % len(_MARKERS)}"


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two others, about `_TICKS` of them, with their texts."""
    power = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step = next(power * m for m in (1, 2, 5, 10) if (high - low) / (power * m) <= _TICKS)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(i * step, f"{i * step:.{digits}f}") for i in numbers]
