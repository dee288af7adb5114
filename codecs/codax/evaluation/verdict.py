"""The verdict of an evaluation in words: which codec is better at an equal rate, by how much, and how certain that is.

It follows the paired differences of `comparisons`: a codec is better if their 95 % interval excludes 0.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence

from codax.evaluation import table
from codax.evaluation.comparisons import Comparison
from codax.evaluation.noise import condition
from codax.evaluation.results import Results, SystemResult
from codax.metrics import registry

EQUAL = 1.25  # largest ratio of two measured bit rates that count as equal
_COMPETING = ("codec", "baseline", "decoded")
_BY_RATE = operator.attrgetter("file_kbps")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence of the verdict, and sentences with its numbers."""

    headline: str
    details: tuple[str, ...] = ()


class Differences:
    """Paired differences as advantages: positive where the first of two systems is better."""

    def __init__(self, results: Results, compared: Sequence[Comparison]):
        self._results = results
        self._by_pair = {(c.first, c.second, c.metric): c for c in compared}
        measured = {c.metric for c in compared}
        shown = [key for key in results.keys if key in measured and registry.VALUES[key].sign]
        usual = [key for key in shown if key in table.columns(results)]
        self.keys = usual or shown

    def sign(self, first: str, second: str, key: str) -> int | None:
        """1 or -1 if the first is certainly better or worse, 0 if neither; None if they were not compared."""
        difference = self.difference(first, second, key)
        if difference is None:
            return None
        _, low, high = difference
        return registry.VALUES[key].sign * ((low > 0) - (high < 0))

    def difference(self, first: str, second: str, key: str) -> tuple[float, float, float] | None:
        """First minus second: mean and ends of the interval."""
        if (c := self._by_pair.get((first, second, key))) is not None:
            return c.difference.mean, c.difference.low, c.difference.high
        if (c := self._by_pair.get((second, first, key))) is not None:
            return -c.difference.mean, -c.difference.high, -c.difference.low
        return None

    def best(self, systems: Sequence[SystemResult], key: str) -> SystemResult | None:
        """The system with the best mean; the first of equal ones."""
        known = [
            (registry.VALUES[key].sign * value.mean, s) for s in systems if (value := s.metrics.get(key)) is not None
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None

    def numbers(self, first: SystemResult, second: SystemResult, key: str, *, full: bool = False) -> str:
        """Such as "3.65 against 1.78, +1.87 (+1.60 to +2.12)"; `full` explains the brackets."""
        value, digits = registry.VALUES[key], registry.VALUES[key].digits
        c = self._by_pair.get((first.key, second.key, key)) or self._by_pair[second.key, first.key, key]
        mean, low, high = (f"{number:+z.{digits}f}" for number in self.difference(first.key, second.key, key) or ())
        means = [
            f"{interval.mean:.{digits}f}" if (interval := s.metrics.get(key)) is not None else table.MISSING
            for s in (first, second)
        ]
        unit = f" {value.unit}" if value.unit in ("%", "dB") else ""
        over = f"over {c.difference.note or f'{c.difference.n} utterances'}" if full else c.difference.note
        brackets = ", ".join(filter(None, [f"{'95 % interval ' * full}{low} to {high}", over]))
        return f"{means[0]} against {means[1]}{unit}, {mean} ({brackets})"

    def named_numbers(self, first: SystemResult, second: SystemResult, key: str) -> str:
        """Such as "ViSQOL 3.65 against 1.78, +1.87 (+1.60 to +2.12)"."""
        return f"{registry.VALUES[key].label} {self.numbers(first, second, key)}"


def leaders(results: Results, compared: Sequence[Comparison]) -> dict[str, dict[str, str]]:
    """By metric: the systems to mark in its column, "best", or "level" if it is not certain that they are worse.

    The original, anchors and noisy inputs do not compete. A column with a single competitor has no marks.
    """
    differences, marks = Differences(results, compared), {}
    systems = [s for s in results.systems if s.kind in _COMPETING]
    for key in results.keys:
        if not registry.VALUES[key].sign:
            continue
        best = differences.best(systems, key)
        if best is None or sum(s.metrics.get(key) is not None for s in systems) < 2:
            continue
        signs = {s.key: differences.sign(best.key, s.key, key) for s in systems if s is not best}
        if -1 in signs.values():  # on the utterances that both have, another system is better
            continue
        level = [name for name, sign in signs.items() if sign == 0]
        marks[key] = {best.key: "best"} | dict.fromkeys(level, "level")
    return marks


def verdict(results: Results, compared: Sequence[Comparison]) -> list[Finding]:
    """The findings: one for each two systems with an equal rate, after one for all of them."""
    differences = Differences(results, compared)
    systems = [s for s in results.systems if s.kind in _COMPETING]
    if not differences.keys or len(systems) < 2:
        return [Finding("No two codecs were compared.")]
    pairs: list[tuple[SystemResult, SystemResult]] = []  # better or first one, other
    for group in _equal_rates(systems):
        if (best := differences.best(group, differences.keys[0])) is not None:
            for rival in group:
                sign = differences.sign(best.key, rival.key, differences.keys[0])
                if sign is not None:  # negative if the best mean is that of other utterances
                    pairs.append((rival, best) if sign < 0 else (best, rival))
    if not pairs:
        return [_without_rival(differences, systems)]
    findings = [_finding(differences, best, rival, systems) for best, rival in pairs]
    return findings if len(pairs) == 1 else [_together(differences, pairs), *findings]


def _together(differences: Differences, pairs: Sequence[tuple[SystemResult, SystemResult]]) -> Finding:
    """How often each codec is better; its systems in noise count as the codec."""
    key, wins = differences.keys[0], dict[str, int]()
    for best, rival in pairs:
        if differences.sign(best.key, rival.key, key):
            name = best.series.removesuffix(condition(best.series))
            wins[name] = wins.get(name, 0) + 1
    counts = [f"{name} is better in {n}" for name, n in sorted(wins.items(), key=lambda item: -item[1])]
    if undecided := len(pairs) - sum(wins.values()):
        counts.append(f"nothing is certain in {undecided}")
    label = registry.VALUES[key].label
    return Finding(f"By {label}, of {len(pairs)} comparisons at an equal rate, {', '.join(counts)}.")


def _equal_rates(systems: Sequence[SystemResult]) -> list[list[SystemResult]]:
    """Systems of different series whose rates are equal or all unknown, in the same noise; a series counts once."""
    groups: list[list[SystemResult]] = []
    for system in sorted(systems, key=_BY_RATE):
        fits = (
            group
            for group in groups
            if condition(group[0].series) == condition(system.series)
            and system.file_kbps <= EQUAL * group[0].file_kbps
            and all(other.series != system.series for other in group)
        )
        group = next(fits, None)
        if group is None:
            groups.append([system])
        else:
            group.append(system)
    return [group for group in groups if len(group) > 1]


def _named(system: SystemResult) -> str:
    """The label, and the measured rate."""
    return f"{system.label} ({system.file_kbps:.2f} kbps in files)" if system.file_kbps else system.label


def _finding(
    differences: Differences, best: SystemResult, rival: SystemResult, systems: Sequence[SystemResult]
) -> Finding:
    """What the metrics say of two systems; the first metric decides which one is named first."""
    key, label = differences.keys[0], registry.VALUES[differences.keys[0]].label
    pair = f"{_named(best)} is better than {_named(rival)}"
    if not differences.sign(best.key, rival.key, key):
        pair = f"no difference between {_named(best)} and {_named(rival)} is certain"
    at = "at an equal rate" if best.file_kbps else "at unknown rates"
    outcomes = _outcomes(differences, best, rival)
    counts = ""
    if len(differences.keys) > 1:
        better, undecided, worse = (len(outcomes.get(sign, ())) for sign in (1, 0, -1))
        total = better + undecided + worse
        counts = f" Of {total} metrics: {better} better, {worse} worse, {undecided} undecided."
    return Finding(
        f"By {label}, {pair} {at}: {differences.numbers(best, rival, key, full=True)}.{counts}",
        (*_others(outcomes, key, best, rival), *_lower_rate(differences, best, rival, systems)),
    )


def _outcomes(differences: Differences, best: SystemResult, rival: SystemResult) -> dict[int, dict[str, str]]:
    """By sign: the numbers of the metrics, by key."""
    outcomes: dict[int, dict[str, str]] = {}
    for key in differences.keys:
        if (sign := differences.sign(best.key, rival.key, key)) is not None:
            outcomes.setdefault(sign, {})[key] = differences.named_numbers(best, rival, key)
    return outcomes


def _others(outcomes: dict[int, dict[str, str]], first: str, best: SystemResult, rival: SystemResult) -> list[str]:
    """A sentence for each outcome of the metrics after the first."""
    heads = {
        1: f"{best.label} is also better by",
        0: "Undecided, because the interval includes 0:",
        -1: f"{rival.label} is better by",
    }
    texts = {sign: [text for key, text in outcomes.get(sign, {}).items() if key != first] for sign in heads}
    return [f"{head} {'; '.join(texts[sign])}." for sign, head in heads.items() if texts[sign]]


def _lower_rate(
    differences: Differences, best: SystemResult, rival: SystemResult, systems: Sequence[SystemResult]
) -> list[str]:
    """The lowest rate of the best's series that is still certainly better than the rival, if it is a lower one."""
    key = differences.keys[0]
    better = [s for s in systems if s.series == best.series and differences.sign(s.key, rival.key, key) == 1]
    lowest = min(better, key=_BY_RATE, default=best)
    if not lowest.file_kbps or lowest.file_kbps * EQUAL > rival.file_kbps:
        return []
    share = 100 * lowest.file_kbps / rival.file_kbps
    numbers = differences.named_numbers(lowest, rival, key)
    return [f"{lowest.label} is better too, with {share:.0f} % of the bits: {numbers}."]


def _without_rival(differences: Differences, systems: Sequence[SystemResult]) -> Finding:
    """If no two codecs have an equal rate: what the rates of the first codec, or the two nearest systems, differ by."""
    key = differences.keys[0]
    own = [s for s in systems if s.series == systems[0].series]
    if len(own) < 2 or len({s.series for s in systems}) > 1:
        return Finding(
            f"No two codecs have an equal rate (within {100 * (EQUAL - 1):.0f} %); the plots show the codecs over the "
            "rates, and a table below has the differences of every two systems."
        )
    low, high = min(own, key=_BY_RATE), max(own, key=_BY_RATE)
    if differences.sign(high.key, low.key, key) is None:
        return Finding("No two codecs were compared.")
    return Finding(
        f"{systems[0].series} is the only codec here, so nothing is compared at an equal rate.",
        (f"{_named(high)} and {_named(low)}: {differences.named_numbers(high, low, key)}.",),
    )
