"""Prints the tables of `codax mushra analyze`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from codax.listening.analysis import Analysis


def show(analysis: Analysis) -> None:
    """Prints dropped listeners, systems and comparisons."""
    console = Console(highlight=False)
    if analysis.abx:
        _show_abx(analysis, console)
        return
    rule = analysis.content["screening"]["rule"]
    listeners = analysis.content["listeners"]
    console.print(
        f"{listeners - len(analysis.dropped)} of {listeners} listeners count (screening: {rule})", markup=False
    )
    for dropped in analysis.dropped:
        console.print(f"  dropped {dropped.listener}: {dropped.reason}", markup=False)
    table = Table(title="Scores over all items", title_justify="left")
    table.add_column("signal")
    for name in ("n", "median", "quartiles", "mean", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name, summary in analysis.overall.items():
        interval = "" if summary.low is None else f"{summary.low:.1f} to {summary.high:.1f}"
        table.add_row(
            Text(name),
            str(summary.n),
            f"{summary.median:.1f}",
            f"{summary.q1:.1f} to {summary.q3:.1f}",
            f"{summary.mean:.1f}",
            interval,
            f"bimodal ({summary.bimodality:.2f})" if summary.bimodal else "",
        )
    console.print(table)
    table = Table(title="Differences, paired permutation tests", title_justify="left")
    table.add_column("signals")
    for name in ("pairs", "difference", "effect", "p", "p corrected"):
        table.add_column(name, justify="right")
    for pair in analysis.comparisons:
        table.add_row(
            Text(f"{pair.first} - {pair.second}"),
            str(pair.pairs),
            f"{pair.difference:+.1f}",
            "" if pair.effect is None else f"{pair.effect:+.2f}",
            f"{pair.p:.4f}",
            f"{pair.adjusted:.4f}",
        )
    console.print(table)
    if outliers := analysis.content["outliers"]:
        console.print(f"{len(outliers)} single outliers, which count: see analysis.json", markup=False)


def _show_abx(analysis: Analysis, console: Console) -> None:
    table = Table(title="ABX: system against reference", title_justify="left")
    table.add_column("system")
    for name in ("correct", "trials", "share", "p", "p corrected"):
        table.add_column(name, justify="right")
    for result in analysis.abx:
        share = f"{100 * result.correct / result.trials:.0f} %" if result.trials else ""
        row = (str(result.correct), str(result.trials), share, f"{result.p:.4f}", f"{result.adjusted:.4f}")
        table.add_row(Text(result.system), *row)
    console.print(table)
