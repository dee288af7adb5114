"""Prints the tables of `codax mushra analyze`."""

from __future__ import annotations

from codax.listening.outcome import Analysis
from codax.runtime import tables


def show(analysis: Analysis) -> None:
    """Prints dropped listeners, systems and comparisons."""
    if analysis.abx:
        _show_abx(analysis)
        return
    rule = analysis.content["screening"]["rule"]
    listeners = analysis.content["listeners"]
    print(f"{listeners - len(analysis.dropped)} of {listeners} listeners count (screening: {rule})")
    for dropped in analysis.dropped:
        print(f"  dropped {dropped.listener}: {dropped.reason}")
    rows = [
        (
            name,
            str(summary.n),
            f"{summary.median:.1f}",
            f"{summary.q1:.1f} to {summary.q3:.1f}",
            f"{summary.mean:.1f}",
            "" if summary.low is None else f"{summary.low:.1f} to {summary.high:.1f}",
            f"bimodal ({summary.bimodality:.2f})" if summary.bimodal else "",
        )
        for name, summary in analysis.overall.items()
    ]
    head = ("signal", "n", "median", "quartiles", "mean", "95 % interval", "distribution")
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    tables.show(head, rows, title="Scores over all items")
    rows = [
        (
            f"{pair.first} - {pair.second}",
            str(pair.pairs),
            f"{pair.difference:+.1f}",
            "" if pair.effect is None else f"{pair.effect:+.2f}",
            f"{pair.p:.4f}",
            f"{pair.adjusted:.4f}",
        )
        for pair in analysis.comparisons
    ]
    head = ("signals", "pairs", "difference", "effect", "p", "p corrected")
    tables.show(head, rows, title="Differences, paired permutation tests")
    if outliers := analysis.content["outliers"]:
        print(f"{len(outliers)} single outliers, which count: see analysis.json")


def _show_abx(analysis: Analysis) -> None:
    rows = [
        (
            result.system,
            str(result.correct),
            str(result.trials),
            f"{100 * result.correct / result.trials:.0f} %" if result.trials else "",
            f"{result.p:.4f}",
            f"{result.adjusted:.4f}",
        )
        for result in analysis.abx
    ]
    head = ("system", "correct", "trials", "share", "p", "p corrected")
    tables.show(head, rows, title="ABX: system against reference")
