"""Analysis of a listening test: screening, summaries by system and item, and comparisons between systems."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.listening import plots
from codax.listening.manifest import Manifest
from codax.listening.material import ANCHORS, REFERENCE
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
from codax.storage.files import write_whole
from codax.storage.staging import staged

FORMAT = "codax-listening-analysis"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two stimuli rated by the same listeners on the same items; differences are first - second.

    Attributes:
      pairs: number of pairs, listeners x items.
      p: of the permutation test; `adjusted` is corrected for the number of comparisons.
      effect: Cohen's d of the differences.
      detectable: difference that the test detects with 80 % power.
    """

    first: str
    second: str
    pairs: int
    difference: float
    effect: float | None
    detectable: float | None
    p: float
    adjusted: float


@dataclasses.dataclass(frozen=True)
class Outlier:
    """A rating far from those of the other listeners, for manual inspection."""

    listener: str
    item: str
    stimulus: str
    score: float


@dataclasses.dataclass(frozen=True)
class AbxResult:
    """How often listeners distinguished a system from the reference; `listeners` has (correct, trials) by listener."""

    system: str
    correct: int
    trials: int
    p: float
    adjusted: float
    listeners: dict[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Analysis:
    """Result of a listening test.

    Attributes:
      content: of analysis.json.
      overall: summary by stimulus over all items, best median first.
      comparisons: between systems and with the hidden reference.
      abx: of an ABX test.
      dropped: listeners excluded by the screening.
      notes: one line each.
    """

    content: dict[str, Any]
    overall: dict[str, Summary]
    comparisons: list[Comparison]
    abx: list[AbxResult]
    dropped: list[Dropped]
    notes: list[str]


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

    For MUSHRA also mushra.csv (webMUSHRA's columns), boxplot.png and, if the manifest has bit rates, rate_score.png.

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
    with staged(out) as folder:
        _write(folder, about)
        write_whole(folder / "mushra.csv", to_csv(sessions, manifest))
        _plot(folder, kept, overall, {name: manifest.kbps[name] for name in manifest.systems if name in manifest.kbps})
    return Analysis(about, overall, comparisons, [], dropped, notes)


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


def _plot(folder: Path, scores: Scores, overall: Mapping[str, Summary], kbps: Mapping[str, float]) -> None:
    """Writes boxplot.png and, if bit rates are known, rate_score.png."""
    by_stimulus = {name: [trial[name] for trials in scores.values() for trial in trials.values()] for name in overall}
    plots.box_plot(by_stimulus, overall, folder / "boxplot.png")
    if kbps:
        plots.rate_plot(kbps, overall, folder / "rate_score.png")


def overall_summary(scores: Scores, stimulus: str) -> Summary:
    """Summary over all items. The mean's interval is based on listener means, as ratings of a listener correlate."""
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
