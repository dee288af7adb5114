"""The plots of an evaluation as PNG files: each metric against measured kilobits per second, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.evaluation import panels
from codax.evaluation.panels import Line, Panel
from codax.evaluation.results import Results
from codax.runtime import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"
_COLUMNS = 3


def rate_quality(results: Results, path: Path) -> None:
    """Draws one panel per metric into a PNG file.

    Args:
      results: of an evaluation.
      path: of the PNG.
    """
    _draw(panels.rate_quality(results), path)


def information_split(results: Results, path: Path) -> None:
    """Draws word error rate and speaker similarity against the number of codebooks.

    Args:
      results: of an evaluation. If no codec has both values for two numbers of codebooks, nothing is drawn.
      path: of the PNG.
    """
    if drawn := panels.information_split(results):
        _draw(drawn, path)


@figures.plain_text()
def _draw(drawn: Sequence[Panel], path: Path) -> None:
    columns = min(_COLUMNS, max(1, len(drawn)))
    rows = max(1, math.ceil(len(drawn) / columns))
    figure = figure_of(columns, rows)
    handles: dict[str, Any] = {}
    for index, panel in enumerate(drawn):
        _panel(figure.add_subplot(rows, columns, index + 1), panel, handles)
    if not drawn:
        figure.text(0.5, 0.5, "no metric with a value at a bit rate", ha="center", va="center")
    save(figure, handles, path)


def figure_of(columns: int, rows: int) -> Figure:
    """An empty figure for `columns` x `rows` panels."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.08)
    return figures.empty(4.2 * columns, 3.2 * rows + 0.5, dpi=130, layout=layout)


def save(figure: Figure, handles: dict[str, Any], path: Path) -> None:
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=min(6, len(handles)), frameon=False
        )
    figures.write_png(path, figure)


def _panel(axes: Axes, panel: Panel, handles: dict[str, Any]) -> None:
    for line in panel.lines:
        _line(axes, line, handles)
    if panel.original_note:
        top = "above" in panel.original_note
        place = {"ha": "right", "va": "top" if top else "bottom", "transform": axes.transAxes}
        axes.text(0.99, 0.99 if top else 0.01, panel.original_note, fontsize=6, **place)
    elif panel.original is not None:
        handles["original"] = axes.axhline(panel.original, color="#777777", linestyle="--", linewidth=1.2)
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel(panel.axis, fontsize=8)
    axes.set_xlim(0, panel.right)
    axes.set_ylim(*panel.range)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, line: Line, handles: dict[str, Any]) -> None:
    """Draws points with intervals and notes."""
    x = [point.x for point in line.points]
    values = [point.value for point in line.points]
    handles[line.name] = axes.errorbar(
        x,
        [v.mean for v in values],
        yerr=[[max(0.0, v.mean - v.low) for v in values], [max(0.0, v.high - v.mean) for v in values]],
        color=COLOURS[line.style % len(COLOURS)],
        marker=MARKERS[line.style % len(MARKERS)],
        markersize=5,
        linewidth=1.6,
        capsize=3,
        elinewidth=1,
    )
    for point in line.points:
        where = (point.x, point.value.mean)
        axes.annotate(point.value.note, where, (4, 4), textcoords="offset points", fontsize=6)
