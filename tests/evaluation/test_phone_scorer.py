"""Phones against codes over a corpus, in a whole evaluation."""

import numpy as np
import pytest
from codax.evaluation import content
from codax.metrics.signals import MetricError


class _Aligner:
    """Finds a phone for each 10 ms: whether the signal is positive there."""

    def __call__(self, audio: np.ndarray, rate: int, text: str) -> np.ndarray:
        if text == "unknown":
            raise MetricError("no pronunciation of unknown")
        return (audio[:: rate // 100, 0] > 0).astype(int)


class _System:
    key, frame_rate, codebook_size = "system", 100.0, 4


@pytest.fixture
def scorer(monkeypatch) -> content.PhoneScorer:
    monkeypatch.setattr(content.phones, "Aligner", _Aligner)
    return content.PhoneScorer()


def test_codes_that_follow_the_phones(scorer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        audio = np.repeat(rng.standard_normal(50), 80)[:, None]
        signs = (audio[::80, 0] > 0).astype(int)
        scorer.start(audio, 8000, "text")
        codes = np.stack([signs + 2, rng.integers(0, 4, 50)], axis=-1)[None]
        scorer.add(_System(), codes)
    values = scorer.values("system", seed=0)
    assert values["pnmi"].mean == pytest.approx(1)
    assert values["phone_accuracy"].mean == values["phone_purity"].mean == 100
    assert values["phone_accuracy"].n == values["pnmi"].n == 8
    assert values["pnmi"].low <= values["pnmi"].mean <= values["pnmi"].high
    assert scorer.values("another", seed=0) == {}


def test_utterances_without_phones_are_left_out_and_say_why(scorer) -> None:
    for text, reason in ((None, "no transcript"), ("unknown", "no pronunciation of unknown")):
        scorer.start(np.zeros((800, 1)), 8000, text)
        scorer.add(_System(), np.zeros((1, 10, 1), int))
        assert scorer.error == reason
    assert scorer.values("system", seed=0) == {}
