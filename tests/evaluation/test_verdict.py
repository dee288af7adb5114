"""The verdict: which systems are compared, who is better, by how much, and how certain that is."""

import numpy as np
import pytest
from codax.evaluation import comparisons
from codax.evaluation.results import Results, Row, summarize
from codax.evaluation.systems import Original
from codax.evaluation.verdict import Differences, leaders, verdict
from codax.metrics.wer import ErrorCounts

UTTERANCES = 8


class System:
    """`rate` in kbps is the measured one; None = unknown."""

    quantizers = kbps = frame_rate = None
    description = ""

    def __init__(self, series, rate, kind="codec"):
        self.series, self.rate, self.kind = series, rate, kind
        self.key = self.label = f"{series} {rate}"


def evaluated(scores, keys=("stoi", "wer")):
    """Results, and comparisons, of {system: (STOI of each utterance or their mean, word errors of each of ten)}."""
    systems, rows = [Original(), *scores], {}
    for system in systems:
        stoi, errors = scores.get(system, (1.0, 0))
        spread = np.linspace(-0.02, 0.02, UTTERANCES) * (system is not systems[0])
        values = stoi if isinstance(stoi, list) else stoi + spread
        rows[system.key] = [
            Row(
                system.key,
                f"u{i}",
                "",
                1.0,
                scores={"stoi": value},
                counts={"wer": ErrorCounts(errors, hits=10 - errors)},
            )
            for i, value in enumerate(values)
        ]
        for row in rows[system.key]:
            if getattr(system, "rate", None) is not None:
                row.file_bytes = row.payload_bytes = round(system.rate * 125)
    summaries = [summarize(system, rows[system.key], keys, seed=0) for system in systems]
    results = Results(keys, summaries, [row for group in rows.values() for row in group], {"data": {}})
    return results, comparisons.compare(results)


def test_the_better_one_at_an_equal_rate():
    ours = {rate: System("ours", rate) for rate in (1.0, 3.0, 6.0)}
    theirs = System("theirs", 7.0, "baseline")
    results, compared = evaluated({ours[1.0]: (0.7, 5), ours[3.0]: (0.85, 3), ours[6.0]: (0.95, 2), theirs: (0.8, 1)})
    (finding,) = verdict(results, compared)
    assert finding.headline == (
        "By STOI, ours 6.0 (6.00 kbps in files) is better than theirs 7.0 (7.00 kbps in files) at an equal rate: 0.950 "
        "against 0.800, +0.150 (95 % interval +0.150 to +0.150, over 8 utterances). Of 2 metrics: 1 better, 1 worse, "
        "0 undecided."
    )
    assert finding.details == (
        "theirs 7.0 is better by WER 20.0 against 10.0 %, +10.0 (+10.0 to +10.0).",
        "ours 3.0 is better too, with 43 % of the bits: STOI 0.850 against 0.800, +0.050 (+0.050 to +0.050).",
    )
    assert leaders(results, compared) == {"stoi": {"ours 6.0": "best"}, "wer": {"theirs 7.0": "best"}}


def test_the_second_of_a_pair_may_be_the_better_one():
    results, compared = evaluated({System("a", 6.0): (0.8, 2), System("b", 6.0): (0.9, 1)})
    (finding,) = verdict(results, compared)
    assert "b 6.0 (6.00 kbps in files) is better than a 6.0" in finding.headline and "+0.100 (95 %" in finding.headline
    assert finding.details == ("b 6.0 is also better by WER 10.0 against 20.0 %, -10.0 (-10.0 to -10.0).",)


def test_nothing_is_certain_if_the_interval_includes_0():
    noisy = [0.9 + 0.05 * (-1) ** i for i in range(UTTERANCES)]
    results, compared = evaluated({System("a", 6.0): (noisy, 1), System("b", 6.0): (0.895, 1)})
    (finding,) = verdict(results, compared)
    pair = "a 6.0 (6.00 kbps in files) and b 6.0 (6.00 kbps in files)"
    start = f"By STOI, no difference between {pair} is certain at an equal rate: 0.900 against 0.895, +0.005 (95 %"
    assert finding.headline.startswith(start)
    assert finding.details == (
        "Undecided, because the interval includes 0: WER 10.0 against 10.0 %, +0.0 (+0.0 to +0.0).",
    )
    assert leaders(results, compared)["stoi"] == {"a 6.0": "best", "b 6.0": "level"}


def test_missing_utterances_are_told():
    results, compared = evaluated({System("a", 6.0): (0.9, 1), System("b", 6.0): ([0.8] * 7 + [np.nan], 1)})
    assert "over 7 of 8). Of" in verdict(results, compared)[0].headline


def test_the_pairs_decide_if_the_means_are_of_other_utterances():
    easy, whole = System("easy", 6.0), System("whole", 6.0)
    values = [0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5]
    results, compared = evaluated({easy: ([0.8] * 4 + [np.nan] * 4, 1), whole: (values, 1)})
    assert verdict(results, compared)[0].headline.startswith("By STOI, whole 6.0 (6.00 kbps in files) is better")
    assert "stoi" not in leaders(results, compared)


@pytest.mark.parametrize(
    ("scores", "headline"),
    [
        ({System("a", 1.0): (0.9, 1)}, "No two codecs were compared."),
        ({System("a", 1.0): (0.9, 1), System("b", 1.3): (0.9, 1)}, "No two codecs have an equal rate (within 25 %)"),
        (
            {System("a", None): (0.9, 1), System("b", None): (0.8, 1)},
            "By STOI, a None is better than b None at unknown rates",
        ),
        ({System("a", 1.0): (0.8, 1), System("a", 1.1): (0.9, 1)}, "a is the only codec here"),
        ({System("a", 1.0): (0.8, 1), System("a, 5 dB", 1.0): (0.9, 1)}, "No two codecs have an equal rate"),
        ({System("a, 5 dB", 1.0): (0.8, 1), System("b, 5 dB", 1.0): (0.9, 1)}, "By STOI, b, 5 dB 1.0"),
        ({System("low-pass", None, "anchor"): (0.8, 1), System("b", 1.0): (0.9, 1)}, "No two codecs were compared."),
    ],
)
def test_what_has_no_rival(scores, headline):
    findings = verdict(*evaluated(scores))
    assert len(findings) == 1 and findings[0].headline.startswith(headline)


def test_one_codec_at_several_rates():
    (finding,) = verdict(*evaluated({System("a", rate): (rate / 10, 0) for rate in (3.0, 1.0, 6.0)}))
    start = "a 6.0 (6.00 kbps in files) and a 1.0 (1.00 kbps in files): STOI 0.600 against 0.100, +0.500 (+0.500 to"
    assert finding.details[0].startswith(start)


def test_several_rates_have_a_finding_for_all_of_them():
    ours = {System("ours", rate): (0.9, 1) for rate in (1.0, 3.0, 6.0)}
    theirs = {System("theirs", rate): (score, 1) for rate, score in ((1.0, 0.8), (3.0, 0.95), (6.0, 0.8))}
    findings = verdict(*evaluated({**ours, **theirs}))
    start = "By STOI, of 3 comparisons at an equal rate, ours is better in 2, theirs is better in 1."
    assert findings[0].headline == start and len(findings) == 4


def test_noise_counts_for_the_codec_without_it():
    noises = ("", ", 0 dB", ", 5 dB")
    scores = {System(name + noise, 6.0): (score, 1) for noise in noises for name, score in (("a", 0.9), ("b", 0.8))}
    assert verdict(*evaluated(scores))[0].headline == "By STOI, of 3 comparisons at an equal rate, a is better in 3."


def test_metrics_without_a_direction_decide_nothing():
    results, compared = evaluated({System("a", 1.0): (0.9, 1), System("b", 1.0): (0.8, 1)}, keys=("level",))
    assert Differences(results, compared).keys == [] and leaders(results, compared) == {}
    assert verdict(results, compared)[0].headline == "No two codecs were compared."


def test_every_metric_can_be_missing_for_a_system():
    results, compared = evaluated({System("a", 1.0): (0.9, 1), System("b", 1.0): ([np.nan] * UTTERANCES, 1)})
    assert results.systems[2].metrics["stoi"] is None
    assert verdict(results, compared)[0].headline.startswith("By WER, ")
