"""Rate-quality plots: measured kilobits per second against each metric, with intervals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.evaluation.results import Results, SystemResult
from codax.metrics import registry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which stay apart for colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"
_WITH_ORIGINAL = ("wer", "cer")  # where the original's value is the floor that a codec can reach
_HIDDEN = ("codebook_use", "perplexity", "entropy_kbps")  # not measures of quality
_COLUMNS = 3


def rate_quality(results: Results, path: Path) -> None:
    """Draws one panel per metric into a PNG file.

    Args:
      results: of an evaluation.
      path: of the PNG.
    """
    # The object interface needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    keys = [key for key in results.keys if key not in _HIDDEN and _drawable(results, key)]
    columns = min(_COLUMNS, max(1, len(keys)))
    rows = max(1, math.ceil(len(keys) / columns))
    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.08)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.5), dpi=130, layout=layout)
    FigureCanvasAgg(figure)
    handles: dict[str, Any] = {}
    for index, key in enumerate(keys):
        _panel(figure.add_subplot(rows, columns, index + 1), results, key, handles)
    if not keys:
        figure.text(0.5, 0.5, "no metric with a value at a bit rate", ha="center", va="center")
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=min(6, len(handles)), frameon=False
        )
    figure.savefig(path, format="png")


def _drawable(results: Results, key: str) -> bool:
    return any(_point(system, key) is not None for system in results.systems)


def _point(system: SystemResult, key: str) -> tuple[float, float, float, float] | None:
    """(kbps, value, low, high) of a system, or None."""
    value, rate = system.metrics.get(key), system.bits_per_second
    return None if value is None or rate is None else (rate.mean / 1000, value.mean, value.low, value.high)


def _panel(axes: Axes, results: Results, key: str, handles: dict[str, Any]) -> None:
    about = registry.VALUES[key]
    all_series = list(dict.fromkeys(s.series for s in results.systems if s.kind != "original"))
    for index, series in enumerate(all_series):
        points = sorted(p for s in results.systems if s.series == series and (p := _point(s, key)) is not None)
        if not points:
            continue
        x, y, low, high = zip(*points, strict=True)
        down = [max(0.0, a - b) for a, b in zip(y, low, strict=True)]
        up = [max(0.0, b - a) for a, b in zip(y, high, strict=True)]
        handles[series] = axes.errorbar(
            x,
            y,
            yerr=[down, up],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
            capsize=3,
            elinewidth=1,
        )
    original = results.systems[0].metrics.get(key)
    if key in _WITH_ORIGINAL and original is not None:
        handles["original"] = axes.axhline(original.mean, color="#777777", linestyle="--", linewidth=1.2)
    arrow = {"higher": " (higher is better)", "lower": " (lower is better)"}.get(about.better, "")
    unit = f", {about.unit}" if about.unit else ""
    axes.set_title(f"{about.label}{unit}{arrow}", fontsize=9)
    axes.set_xlabel("kbps of the files, measured", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, 1.06 * max(1e-3, *(s.bits_per_second.mean / 1000 for s in results.systems if s.bits_per_second)))
    if about.unit == "%":
        axes.set_ylim(bottom=0)
