"""report.html of a listening test: the outcome in words, plots and tables, on one page that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence

from codax.listening import plots
from codax.listening.outcome import Analysis, Comparison
from codax.listening.statistics import LEVEL
from codax.runtime import pages

_CHANCE = 1 - LEVEL  # corrected p below which a difference counts as shown


def page(analysis: Analysis, figures: Sequence[tuple[str, str]]) -> str:
    """Renders web/report.html.

    Args:
      analysis: the outcome.
      figures: (description, SVG) of each plot.
    """
    environment = pages.environment("codax.listening", "web")
    environment.filters["name"] = lambda stimulus: plots.NAMES.get(stimulus, stimulus)
    return environment.get_template("report.html").render(
        about=analysis.content,
        analysis=analysis,
        verdict=verdict(analysis),
        figures=figures,
        bimodal=any(summary.bimodal for summary in analysis.overall.values()),
    )


def verdict(analysis: Analysis) -> list[str]:
    """Returns the outcome in sentences: the best system and its lead, or which systems listeners could distinguish."""
    if analysis.content["kind"] == "abx":
        return [
            f"{result.system}: {result.correct} of {result.trials} answers were correct; listeners "
            + ("can" if result.adjusted < _CHANCE else "were not shown to")
            + f" distinguish it from the reference (p = {result.adjusted:.4f})."
            for result in analysis.abx
        ]
    systems = [name for name in analysis.overall if name not in plots.NAMES]
    best = systems[0]
    score = analysis.overall[best]
    interval = "" if score.low is None else f", 95 % interval {score.low:.1f} to {score.high:.1f}"
    rank = f"has the highest median of {len(systems)} systems" if systems[1:] else "has the median"
    lines = [f"{best} {rank}: {score.median:.1f} (mean {score.mean:.1f}{interval})."]
    pairs = {frozenset((pair.first, pair.second)): pair for pair in analysis.comparisons}
    lines += [_lead(best, other, pairs[frozenset((best, other))]) for other in systems[1:]]
    lines.append(_lead("reference", best, pairs[frozenset(("reference", best))]))
    return lines


def _lead(first: str, second: str, pair: Comparison) -> str:
    """Whether listeners rated `first` above `second`."""
    difference = pair.difference if pair.first == first else -pair.difference
    first, second = (f"the {plots.NAMES[name]}" if name in plots.NAMES else name for name in (first, second))
    chance = f"p = {pair.adjusted:.4f}, corrected for all comparisons"
    if pair.adjusted < _CHANCE:
        above = "above" if difference > 0 else "below"
        text = f"{first} was rated {abs(difference):.1f} points {above} {second} ({chance})."
    else:
        power = (
            "" if pair.detectable is None else f"; one of {pair.detectable:.1f} points would be with a power of 80 %"
        )
        text = f"A difference between {first} and {second} was not shown: {difference:+.1f} points ({chance}{power})."
    return text[0].upper() + text[1:] if text.startswith(("the ", "A ")) else text
