"""The utterances that a report plays: the worst, the best, and some others."""

import dataclasses

import pytest
from codax.evaluation.clips import choose
from codax.evaluation.results import Results, Row
from codax.evaluation.systems import Original


@dataclasses.dataclass
class System:
    key: str


def results(scores: dict[str, float], keys=("snr",)) -> Results:
    rows = [Row("original", name, "", 1.0, scores={"snr": 100.0}) for name in scores]
    rows += [Row("a", name, "", 1.0, scores={"snr": value}) for name, value in scores.items()]
    rows += [Row("b", name, "", 1.0, scores={"snr": value + 1}) for name, value in scores.items()]
    return Results(keys, [Original(), System("a"), System("b")], rows, {})


def test_few_are_all_there():
    clips = choose(results({"x": 3.0, "y": 1.0, "z": 2.0}))
    assert [(clip.name, clip.why) for clip in clips] == [("y", "worst by SNR"), ("x", "best by SNR"), ("z", "")]
    assert [row.system for row in clips[0].rows] == ["original", "a", "b"]
    assert [clip.why for clip in choose(results({"x": 1.0}))] == [""]


@pytest.mark.parametrize("count", range(1, 12))
def test_each_is_chosen_once(count):
    names = [clip.name for clip in choose(results({f"u{i:02d}": float(i % 5) for i in range(count)}))]
    assert len(names) == len(set(names)) == min(count, 8)


def test_the_worst_and_the_best_of_many():
    clips = choose(results({f"u{i:02d}": float((7 * i) % 20) for i in range(20)}))
    assert [clip.why for clip in clips] == 2 * ["worst by SNR"] + 2 * ["best by SNR"] + 4 * [""]
    assert [clip.name for clip in clips[:4]] == ["u00", "u03", "u17", "u14"]  # 0, 1, 19 and 18 dB
    assert len({clip.name for clip in clips}) == 8


def test_what_was_not_measured_is_not_ranked():
    actual = results({f"u{i:02d}": float(i) for i in range(20)})
    for row in actual.rows:
        if row.utterance == "u00" and row.system == "b":
            row.scores = {}
    assert choose(actual)[0].name == "u01"
    none = results({f"u{i:02d}": 0.0 for i in range(20)}, keys=("perplexity",))
    assert [clip.why for clip in choose(none)] == 8 * [""]
