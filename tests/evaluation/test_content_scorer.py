"""Phones against codes over a corpus."""

from __future__ import annotations

import types

import numpy as np
import pytest
from codax.evaluation.content import ContentScorer
from codax.metrics.phones import Segment
from codax.metrics.signals import MetricError


class _Labels:
    """Phones of 20 ms, or reasons why there are none."""

    name = "labels"

    def __call__(self, utterance) -> list[Segment]:
        if isinstance(utterance.phones, str):
            raise MetricError(utterance.phones)
        return [Segment(i / 50, (i + 1) / 50, phone) for i, phone in enumerate(utterance.phones)]


class _System:
    """Codes at 100 frames per second; code c stands for a vector at 30 c degrees."""

    series, frame_rate, codebook_size = "system", 100.0, 4

    def first_vectors(self, codes: np.ndarray) -> np.ndarray:
        angle = np.pi / 6 * codes[..., 0]
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def utterance(phones, speaker: str = "s"):
    return types.SimpleNamespace(phones=phones, entry=types.SimpleNamespace(speaker=speaker))


def run(scorer: ContentScorer, code_of, *, speakers: str = "s") -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        phones = [str(phone) for phone in rng.choice(["A", "B"], 25)]
        scorer.start(utterance(phones, speakers[number % len(speakers)]))
        first = np.repeat([code_of(phone, rng) for phone in phones], 2)
        codes = np.stack([first, rng.integers(0, 4, 50)], axis=-1)[None]
        for _ in range(2):  # the second rate of a codec has the same first codebook
            scorer.add(_System(), codes)


def test_codes_that_follow_the_phones() -> None:
    scorer = ContentScorer(_Labels())
    run(scorer, lambda phone, _: 2 + (phone == "A"))
    values = scorer.values("system", seed=0)
    assert values["pnmi"].mean == pytest.approx(1)
    assert values["phone_accuracy"].mean == values["phone_purity"].mean == 100
    assert values["phone_accuracy"].n == values["pnmi"].n == values["abx"].n == 8
    assert values["pnmi"].low <= values["pnmi"].mean <= values["pnmi"].high
    assert values["abx"].mean == values["abx_any"].mean == 0
    assert values["abx_across"] is None  # one speaker
    assert scorer.values("another", seed=0) == {}


def test_codes_that_say_nothing() -> None:
    scorer = ContentScorer(_Labels())
    run(scorer, lambda _, rng: rng.integers(0, 4), speakers="st")
    values = scorer.values("system", seed=0)
    assert values["pnmi"].mean < 0.1
    for key in ("abx", "abx_any", "abx_across"):
        assert values[key].low < 50 < values[key].high and abs(values[key].mean - 50) < 10


def test_only_what_is_asked_for() -> None:
    for counts, abx in ((True, False), (False, True)):
        scorer = ContentScorer(_Labels(), counts=counts, abx=abx)
        run(scorer, lambda phone, _: int(phone == "A"))
        actual = scorer.values("system", seed=0)
        assert ("pnmi" in actual, "abx" in actual) == (counts, abx)


def test_utterances_without_phones_are_left_out_and_say_why() -> None:
    scorer = ContentScorer(_Labels())
    for reason in ("no transcript", "no pronunciation of unknown"):
        scorer.start(utterance(reason))
        scorer.add(_System(), np.zeros((1, 10, 1), int))
        assert scorer.error == reason
    assert scorer.values("system", seed=0) == {}
    # Phones that no frame's middle lies in.
    scorer.start(utterance(["A"]))
    scorer.add(_System(), np.zeros((1, 0, 1), int))
    assert scorer.values("system", seed=0).get("pnmi") is None
