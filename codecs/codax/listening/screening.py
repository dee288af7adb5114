"""Post-screening of listeners: the common rules, each applied to all listeners at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from codax.errors import CodaxError
from codax.listening.material import REFERENCE

# Score by listener, item and stimulus.
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]

LOW, MID = "anchor35", "anchor70"


@dataclasses.dataclass(frozen=True)
class Dropped:
    """A listener excluded by a rule, and the reason."""

    listener: str
    reason: str


def screen(scores: Scores, rule: str) -> list[Dropped]:
    """Applies a rule.

    Args:
      scores: of all listeners, complete trials.
      rule: a key of `RULES`.

    Raises:
      CodaxError: unknown rule, or the test lacks the anchors that it needs.
    """
    if rule not in RULES:
        raise CodaxError(f"--screening {rule}: must be one of {', '.join(RULES)}")
    needed = {"bs1534": {MID}, "encodec": {LOW}, "usac": {LOW, MID}, "none": set()}[rule]
    for trials in scores.values():
        for item, trial in trials.items():
            if missing := sorted(needed - set(trial)):
                raise CodaxError(f"--screening {rule}: needs {missing[0]}, which item {item} does not have")
    return RULES[rule](scores)


def bs1534(scores: Scores) -> list[Dropped]:
    """Recommendation ITU-R BS.1534-3: hidden reference below 90, or mid anchor above 90, in more than 15 % of trials.

    For the anchor, items where more than 25 % of all listeners rate it above 90 do not count: it is then hard to
    distinguish from the reference.
    """
    items = {item for trials in scores.values() for item in trials}
    hard = set()
    for item in items:
        rated = [trials[item][MID] for trials in scores.values() if item in trials]
        if sum(score > 90 for score in rated) > 0.25 * len(rated):
            hard.add(item)
    out = []
    for listener, trials in scores.items():
        reasons = []
        low = sum(trial[REFERENCE] < 90 for trial in trials.values())
        if low > 0.15 * len(trials):
            reasons.append(f"hidden reference below 90 in {_share(low, len(trials))}, more than 15 %")
        counted = [trial[MID] for item, trial in trials.items() if item not in hard]
        high = sum(score > 90 for score in counted)
        if high > 0.15 * len(counted):
            reasons.append(f"7 kHz anchor above 90 in {_share(high, len(counted))}, more than 15 %")
        if reasons:
            out.append(Dropped(listener, "; ".join(reasons)))
    return out


def encodec(scores: Scores) -> list[Dropped]:
    """Défossez et al. 2022: reference below 90 in at least 20 % of trials, or low anchor above 80 in more than 50 %."""
    out = []
    for listener, trials in scores.items():
        reasons = []
        low = sum(trial[REFERENCE] < 90 for trial in trials.values())
        if low >= 0.2 * len(trials):
            reasons.append(f"hidden reference below 90 in {_share(low, len(trials))}, at least 20 %")
        high = sum(trial[LOW] > 80 for trial in trials.values())
        if high > 0.5 * len(trials):
            reasons.append(f"3.5 kHz anchor above 80 in {_share(high, len(trials))}, more than 50 %")
        if reasons:
            out.append(Dropped(listener, "; ".join(reasons)))
    return out


def usac(scores: Scores) -> list[Dropped]:
    """MPEG's USAC verification: reference at least 90 and reference >= 7 kHz >= 3.5 kHz anchor, on every item."""
    out = []
    for listener, trials in scores.items():
        for item, trial in trials.items():
            hidden, mid, low = trial[REFERENCE], trial[MID], trial[LOW]
            if hidden < 90:
                reason = f"hidden reference at {hidden:g}, below 90"
            elif hidden < mid:
                reason = f"7 kHz anchor at {mid:g} above the hidden reference at {hidden:g}"
            elif mid < low:
                reason = f"3.5 kHz anchor at {low:g} above the 7 kHz anchor at {mid:g}"
            else:
                continue
            out.append(Dropped(listener, f"item {item}: {reason}"))
            break
    return out


def _nobody(scores: Scores) -> list[Dropped]:
    return []


def _share(count: int, total: int) -> str:
    return f"{count} of {total} trials"


RULES: dict[str, Callable[[Scores], list[Dropped]]] = {
    "bs1534": bs1534,
    "encodec": encodec,
    "usac": usac,
    "none": _nobody,
}
