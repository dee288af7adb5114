"""The box plot of a MUSHRA test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from codax.listening.statistics import Summary

_BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
_NAMES = {"reference": "hidden reference", "anchor35": "3.5 kHz anchor", "anchor70": "7 kHz anchor"}


def box_plot(scores: Mapping[str, Sequence[float]], summaries: Mapping[str, Summary], path: Path) -> None:
    """Draws quartiles, whiskers of at most 1.5 interquartile ranges, and the mean with its 95 % interval.

    Args:
      scores: by stimulus, in the order of the boxes.
      summaries: by stimulus.
      path: PNG to write.
    """
    # The object interface needs no display and leaves other figures alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5.0, 1.5 + 1.1 * len(scores)), 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = list(range(1, len(scores) + 1))
    axes.boxplot(
        list(scores.values()),
        positions=places,
        widths=0.55,
        patch_artist=True,
        boxprops={"facecolor": "#dbe9f6", "edgecolor": "#0b5cad"},
        medianprops={"color": "#0b5cad", "linewidth": 2},
        whiskerprops={"color": "#0b5cad"},
        capprops={"color": "#0b5cad"},
        flierprops={"marker": ".", "markeredgecolor": "#57606a", "markersize": 5},
    )
    for place, name in zip(places, scores, strict=True):
        summary = summaries[name]
        reach = None
        if summary.low is not None and summary.high is not None:
            reach = [[summary.mean - summary.low], [summary.high - summary.mean]]
        axes.errorbar(
            [place + 0.37],
            [summary.mean],
            yerr=reach,
            fmt="o",
            color="#9a3b00",
            markersize=4,
            capsize=3,
            label="mean, 95 % interval" if place == 1 else None,
        )
    for edge in (20, 40, 60, 80):
        axes.axhline(edge, color="#d0d7de", linewidth=0.8, zorder=0)
    bands = axes.secondary_yaxis("right")
    bands.set_yticks([10, 30, 50, 70, 90], _BANDS)
    bands.tick_params(length=0)
    axes.set_ylim(-2, 102)
    axes.set_ylabel("MUSHRA score")
    axes.set_xlim(0.4, len(scores) + 0.75)
    axes.set_xticks(places, [_NAMES.get(name, name) for name in scores], rotation=25, ha="right")
    axes.legend(loc="lower left", frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Software": None})
