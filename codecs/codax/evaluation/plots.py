"""Rate-quality plots: each metric against measured kilobits per second, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.evaluation.results import Results, SystemResult
from codax.metrics import registry
from codax.storage.files import write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"
_WITH_ORIGINAL = ("wer", "cer", "speaker")  # metrics whose best value is that of the original
_SPLIT = ("wer", "speaker")
_HIDDEN = ("codebook_use", "perplexity", "entropy_kbps")  # not measures of quality
_COLUMNS = 3
_Point = tuple[float, float, float, float, str]  # x, value, low, high, note of a mean over fewer utterances


def rate_quality(results: Results, path: Path) -> None:
    """Draws one panel per metric into a PNG file.

    Args:
      results: of an evaluation.
      path: of the PNG.
    """
    keys = [key for key in results.keys if key not in _HIDDEN and _drawable(results, key)]
    columns = min(_COLUMNS, max(1, len(keys)))
    rows = max(1, math.ceil(len(keys) / columns))
    figure = figure_of(columns, rows)
    handles: dict[str, Any] = {}
    for index, key in enumerate(keys):
        _panel(figure.add_subplot(rows, columns, index + 1), results, key, handles)
    if not keys:
        figure.text(0.5, 0.5, "no metric with a value at a bit rate", ha="center", va="center")
    save(figure, handles, path)


def figure_of(columns: int, rows: int) -> Figure:
    """An empty figure for `columns` x `rows` panels."""
    # The object interface needs no display and does not change pyplot's global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.08)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.5), dpi=130, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, handles: dict[str, Any], path: Path) -> None:
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=min(6, len(handles)), frameon=False
        )
    write_png(path, figure)


def information_split(results: Results, path: Path) -> None:
    """Draws word error rate and speaker similarity against the number of codebooks.

    Args:
      results: of an evaluation. If no codec has both values for two numbers of codebooks, nothing is drawn.
      path: of the PNG.
    """
    series: dict[str, list[SystemResult]] = {}
    for system in results.systems:
        if system.codebooks_used and all(system.metrics.get(key) for key in _SPLIT):
            series.setdefault(system.series, []).append(system)
    series = {name: sorted(group, key=_codebooks) for name, group in series.items() if len(group) > 1}
    if not series:
        return
    figure = figure_of(len(_SPLIT), 1)
    handles: dict[str, Any] = {}
    for index, key in enumerate(_SPLIT):
        axes = figure.add_subplot(1, len(_SPLIT), index + 1)
        for name, group in series.items():
            points = [
                (_codebooks(s), v.mean, v.low, v.high, v.note) for s in group if (v := s.metrics[key]) is not None
            ]
            _line(axes, points, name, handles, _style(results, name))
        _finish(axes, results, key, handles)
        axes.set_xlabel("number of codebooks", fontsize=8)
        axes.set_xlim(0, 1.06 * max(_codebooks(group[-1]) for group in series.values()))
    save(figure, handles, path)


def _codebooks(system: SystemResult) -> int:
    return system.codebooks_used or 0


def _drawable(results: Results, key: str) -> bool:
    return any(_point(system, key) is not None for system in results.systems)


def _point(system: SystemResult, key: str) -> _Point | None:
    """The point of a system, its rate in kbps, or None."""
    value, rate = system.metrics.get(key), system.bits_per_second
    return None if value is None or rate is None else (rate.mean / 1000, value.mean, value.low, value.high, value.note)


def _panel(axes: Axes, results: Results, key: str, handles: dict[str, Any]) -> None:
    for series in dict.fromkeys(s.series for s in results.systems if s.kind != "original"):
        points = sorted(p for s in results.systems if s.series == series and (p := _point(s, key)) is not None)
        if points:
            _line(axes, points, series, handles, _style(results, series))
    _finish(axes, results, key, handles)
    axes.set_xlabel("measured kbps of the files", fontsize=8)
    axes.set_xlim(0, 1.06 * max(1e-3, *(s.bits_per_second.mean / 1000 for s in results.systems if s.bits_per_second)))


def _line(axes: Axes, points: Sequence[_Point], name: str, handles: dict[str, Any], style: int) -> None:
    """Draws points with intervals and notes, in the given style."""
    x, y, low, high, notes = zip(*points, strict=True)
    handles[name] = axes.errorbar(
        x,
        y,
        yerr=[
            [max(0.0, a - b) for a, b in zip(y, low, strict=True)],
            [max(0.0, b - a) for a, b in zip(y, high, strict=True)],
        ],
        color=COLOURS[style % len(COLOURS)],
        marker=MARKERS[style % len(MARKERS)],
        markersize=5,
        linewidth=1.6,
        capsize=3,
        elinewidth=1,
    )
    for where, note in zip(zip(x, y, strict=True), notes, strict=True):
        axes.annotate(note, where, (4, 4), textcoords="offset points", fontsize=6)


def _style(results: Results, series: str) -> int:
    return list(dict.fromkeys(s.series for s in results.systems if s.kind != "original")).index(series)


def _finish(axes: Axes, results: Results, key: str, handles: dict[str, Any]) -> None:
    """Adds the title, the original's value, and the common settings of all panels."""
    value = registry.VALUES[key]
    original = results.systems[0].metrics.get(key)
    if key in _WITH_ORIGINAL and original is not None:
        handles["original"] = axes.axhline(original.mean, color="#777777", linestyle="--", linewidth=1.2)
    arrow = {"higher": " (higher is better)", "lower": " (lower is better)"}.get(value.better, "")
    unit = f", {value.unit}" if value.unit else ""
    axes.set_title(f"{value.label}{unit}{arrow}", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if value.unit == "%":
        axes.set_ylim(bottom=0)
