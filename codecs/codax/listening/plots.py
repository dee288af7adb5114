"""Plots of a MUSHRA test: scores by system, and against the bit rate."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from codax.listening.statistics import Summary
from codax.runtime import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {  # of the plots -> variables of the report's style sheet
    "#000000": "ink",
    "#57606a": "soft",
    "#d0d7de": "line",
    "#0b5cad": "accent",
    "#dbe9f6": "box",
    "#9a3b00": "warn",
}
_BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
NAMES = {"reference": "hidden reference", "anchor35": "3.5 kHz anchor", "anchor70": "7 kHz anchor"}


@figures.plain_text()
def box_plot(scores: Mapping[str, Sequence[float]], summaries: Mapping[str, Summary]) -> Figure:
    """Draws quartiles, whiskers of at most 1.5 interquartile ranges, and means with their 95 % intervals.

    Args:
      scores: by stimulus, in the order of the boxes.
      summaries: by stimulus.
    """
    figure, axes = _figure(max(5.0, 1.5 + 1.1 * len(scores)))
    positions = list(range(1, len(scores) + 1))
    axes.boxplot(
        list(scores.values()),
        positions=positions,
        widths=0.55,
        patch_artist=True,
        boxprops={"facecolor": "#dbe9f6", "edgecolor": "#0b5cad"},
        medianprops={"color": "#0b5cad", "linewidth": 2},
        whiskerprops={"color": "#0b5cad"},
        capprops={"color": "#0b5cad"},
        flierprops={"marker": ".", "markeredgecolor": "#57606a", "markersize": 5},
    )
    for position, name in zip(positions, scores, strict=True):
        summary = summaries[name]
        axes.errorbar(
            [position + 0.37],
            [summary.mean],
            yerr=_reach(summary),
            fmt="o",
            color="#9a3b00",
            markersize=4,
            capsize=3,
            label="mean, 95 % interval" if position == 1 else None,
        )
    axes.set_xlim(0.4, len(scores) + 0.75)
    axes.set_xticks(positions, [NAMES.get(name, name) for name in scores], rotation=25, ha="right")
    axes.legend(loc="lower left", frameon=False, fontsize="small")
    return figure


@figures.plain_text()
def rate_plot(kbps: Mapping[str, float], summaries: Mapping[str, Summary]) -> Figure:
    """Draws the systems' means with 95 % intervals against their bit rates, and lines for reference and anchors.

    Args:
      kbps: of the systems.
      summaries: of all stimuli.
    """
    figure, axes = _figure(6.0)
    for name, rate in kbps.items():
        summary = summaries[name]
        axes.errorbar([rate], [summary.mean], yerr=_reach(summary), fmt="o", color="#0b5cad", markersize=5, capsize=3)
        axes.annotate(name, (rate, summary.mean), xytext=(6, 4), textcoords="offset points", fontsize="small")
    for name, label in NAMES.items():
        if name in summaries:
            axes.axhline(summaries[name].mean, color="#9a3b00", linewidth=1, linestyle="--")
            text = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
            axes.text(0.99, summaries[name].mean + 0.5, label, fontsize="small", **text)
    axes.margins(x=0.4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("measured kbps")
    return figure


@figures.plain_text()
def as_svg(figure: Figure) -> str:
    """Returns a figure as an element for a page, whose style sheet sets the colours, so that they follow dark mode."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "codax"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    for colour, name in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return text[text.index("<svg") :].replace("<svg ", '<svg aria-hidden="true" ', 1)


def _figure(width: float) -> tuple[Figure, Axes]:
    """A figure for scores, `width` inches wide, with the five bands of the scale."""
    figure = figures.empty(width, 4.5, dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for edge in (20, 40, 60, 80):
        axes.axhline(edge, color="#d0d7de", linewidth=0.8, zorder=0)
    bands = axes.secondary_yaxis("right")
    bands.set_yticks([10, 30, 50, 70, 90], _BANDS)
    bands.tick_params(length=0)
    axes.set_ylim(-2, 102)
    axes.set_ylabel("MUSHRA score")
    return figure, axes


def _reach(summary: Summary) -> list[list[float]] | None:
    """Distances of the interval's ends from the mean, in the form of matplotlib's error bars."""
    if summary.low is None or summary.high is None:
        return None
    return [[max(0.0, summary.mean - summary.low)], [max(0.0, summary.high - summary.mean)]]  # rounding
