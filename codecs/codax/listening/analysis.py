"""Analysis of a listening test: screening, summaries by system and item, and comparisons between systems."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.listening import plots, report
from codax.listening.manifest import Manifest
from codax.listening.material import ANCHORS, REFERENCE
from codax.listening.outcome import AbxResult, Analysis, Comparison, Outlier
from codax.listening.results import Session, read_results, to_csv
from codax.listening.screening import Dropped, Scores, screen
from codax.listening.statistics import (
    CORRECTIONS,
    DRAWS,
    LEVEL,
    Summary,
    binomial_p,
    detectable,
    effect_size,
    outliers,
    permutation_test,
    summarize,
)
from codax.runtime import figures
from codax.storage.files import write_whole
from codax.storage.staging import staged

FORMAT = "codax-listening-analysis"
VERSION = 1
REPORT = "report.html"


def analyze(
    results: Sequence[Path],
    manifest: Manifest,
    out: Path,
    *,
    screening: str = "bs1534",
    correction: str = "hochberg",
    seed: int = 0,
) -> Analysis:
    """Reads results and writes analysis.json.

    Also report.html and, for MUSHRA, mushra.csv (webMUSHRA's columns), boxplot.png and, if the manifest has bit rates,
    rate_score.png. The report embeds the plots.

    Args:
      results: files, or folders of them.
      manifest: of the test.
      out: folder to write.
      screening: a rule of `screening.RULES`.
      correction: "hochberg" or "holm".
      seed: of the permutations.

    Raises:
      CodaxError: naming the file and the reason; nothing is written then.
    """
    if correction not in CORRECTIONS:
        raise CodaxError(f"--correction {correction}: must be one of {', '.join(CORRECTIONS)}")
    sessions, notes = read_results(results, manifest)
    names = _listener_names(sessions)
    about: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "test": manifest.test,
        "kind": manifest.kind,
        "listeners": len(sessions),
        "notes": notes,
    }
    if manifest.kind == "abx":
        abx = _abx(sessions, names, manifest, correction)
        about |= {"correction": correction, "systems": [dataclasses.asdict(result) for result in abx]}
        analysis = Analysis(about, {}, [], abx, [], notes)
        with staged(out) as folder:
            _write(folder, about)
            write_whole(folder / REPORT, report.page(analysis, []))
        return analysis
    stimuli = [REFERENCE, *manifest.systems, *ANCHORS]
    kept, dropped = _screened({names[s.session]: s.scores() for s in sessions}, screening)
    overall = {name: overall_summary(kept, name) for name in stimuli}
    overall = dict(sorted(overall.items(), key=lambda entry: (-entry[1].median, -entry[1].mean)))
    comparisons = compare(kept, [REFERENCE, *manifest.systems], correction=correction, seed=seed)
    about |= {
        "screening": {
            "rule": screening,
            "kept": len(kept),
            "dropped": [dataclasses.asdict(entry) for entry in dropped],
        },
        "settings": {
            "interval": f"{LEVEL:.0%}, t and bootstrap ({DRAWS} draws); over all items of the listeners' means",
            "test": f"paired permutation, {DRAWS} sign flips over listeners x items (all flips where fewer), two-sided",
            "correction": correction,
            "seed": seed,
        },
        "systems": _by_item(kept, overall),
        "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
        "outliers": [dataclasses.asdict(outlier) for outlier in single_outliers(kept, stimuli)],
    }
    analysis = Analysis(about, overall, comparisons, [], dropped, notes)
    with staged(out) as folder:
        _write(folder, about)
        write_whole(folder / "mushra.csv", to_csv(sessions, manifest))
        figures = _plot(folder, kept, overall, {s: manifest.kbps[s] for s in manifest.systems if s in manifest.kbps})
        write_whole(folder / REPORT, report.page(analysis, figures))
    return analysis


def _screened(scores: Scores, rule: str) -> tuple[Scores, list[Dropped]]:
    """The scores of the listeners that a rule keeps, and the others. Raises CodaxError if it keeps none."""
    dropped = screen(scores, rule)
    excluded = {entry.listener for entry in dropped}
    kept = {listener: trials for listener, trials in scores.items() if listener not in excluded}
    if not kept:
        first = dropped[0]
        raise CodaxError(f"--screening {rule}: drops all {len(scores)} listeners; {first.listener}: {first.reason}")
    return kept, dropped


def _by_item(scores: Scores, overall: Mapping[str, Summary]) -> list[dict[str, Any]]:
    """The summaries of every stimulus, over all items and by item, for analysis.json."""
    items = sorted({item for trials in scores.values() for item in trials})
    return [
        {
            "name": name,
            "overall": _facts(summary),
            "items": {
                item: _facts(summarize([trials[item][name] for trials in scores.values() if item in trials]))
                for item in items
            },
        }
        for name, summary in overall.items()
    ]


def _plot(
    folder: Path, scores: Scores, overall: Mapping[str, Summary], kbps: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Writes boxplot.png and, if bit rates are known, rate_score.png. Returns (description, SVG) of each."""
    by_stimulus = {name: [trial[name] for trials in scores.values() for trial in trials.values()] for name in overall}
    drawn = {"boxplot.png": ("Quartiles, ranges and means of the scores", plots.box_plot(by_stimulus, overall))}
    if kbps:
        drawn["rate_score.png"] = ("Mean scores against the measured bit rates", plots.rate_plot(kbps, overall))
    for name, (_, figure) in drawn.items():
        figures.write_png(folder / name, figure, metadata={"Software": None})
    return [(description, plots.as_svg(figure)) for description, figure in drawn.values()]


def overall_summary(scores: Scores, stimulus: str) -> Summary:
    """Summary over all items. Mean and interval are those of listener means, as ratings of a listener correlate."""
    by_listener = [[trial[stimulus] for trial in trials.values()] for trials in scores.values()]
    means = [sum(values) / len(values) for values in by_listener]
    return summarize([score for values in by_listener for score in values], means)


def single_outliers(scores: Scores, stimuli: Sequence[str]) -> list[Outlier]:
    """Ratings outside the whiskers of their item and stimulus; kept, as BS.1534-3 requires a reason to drop any."""
    result = []
    for item in sorted({item for trials in scores.values() for item in trials}):
        for stimulus in stimuli:
            ratings = {name: trials[item][stimulus] for name, trials in scores.items() if item in trials}
            names = list(ratings)
            result += [Outlier(names[i], item, stimulus, ratings[names[i]]) for i in outliers(list(ratings.values()))]
    return result


def compare(scores: Scores, stimuli: Sequence[str], *, correction: str, seed: int) -> list[Comparison]:
    """Compares every pair of `stimuli` on the same listeners and items."""
    pairs = list(itertools.combinations(stimuli, 2))
    differences = [
        [trial[first] - trial[second] for trials in scores.values() for trial in trials.values()]
        for first, second in pairs
    ]
    p_values = [permutation_test(values, seed=[seed, index]) for index, values in enumerate(differences)]
    adjusted = CORRECTIONS[correction](p_values)
    return [
        Comparison(
            first, second, len(values), sum(values) / len(values), effect_size(values), detectable(values), p, corrected
        )
        for (first, second), values, p, corrected in zip(pairs, differences, p_values, adjusted, strict=True)
    ]


def _abx(sessions: Sequence[Session], names: Mapping[str, str], manifest: Manifest, correction: str) -> list[AbxResult]:
    tallies = {}
    for system in manifest.systems:
        answers = {names[s.session]: [a.correct for a in s.answers if a.system == system] for s in sessions}
        tallies[system] = {listener: (sum(hits), len(hits)) for listener, hits in answers.items() if hits}
    sums = {
        system: (sum(c for c, _ in tally.values()), sum(n for _, n in tally.values()))
        for system, tally in tallies.items()
    }
    p_values = [binomial_p(*total) for total in sums.values()]
    adjusted = CORRECTIONS[correction](p_values)
    return [
        AbxResult(system, *sums[system], p, corrected, tallies[system])
        for system, p, corrected in zip(sums, p_values, adjusted, strict=True)
    ]


def _listener_names(sessions: Sequence[Session]) -> dict[str, str]:
    """A name for each session: the listener's number, and the session if several have that number."""
    numbers = [session.listener for session in sessions]
    return {
        s.session: s.listener if numbers.count(s.listener) == 1 else f"{s.listener} ({s.session[:8]})" for s in sessions
    }


def _facts(summary: Summary) -> dict[str, Any]:
    return dataclasses.asdict(summary) | {"bimodal": summary.bimodal}


def _write(folder: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "analysis.json", text)
