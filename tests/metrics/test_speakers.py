"""Embeddings of voices equal those of the package whose weights they use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from codax.metrics import registry, speakers
from codax.metrics.signals import MetricError

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.append(str(GOLDEN))
from make_speakers import SECONDS, speaker_signals  # noqa: E402 (found only now)


def test_the_packages_embeddings() -> None:
    with np.load(GOLDEN / "speakers.npz") as golden:
        for seconds, signal in zip(SECONDS, speaker_signals(), strict=True):
            actual = speakers.embedding(signal)
            np.testing.assert_allclose(actual, golden[str(seconds)], atol=1e-5, err_msg=f"{seconds} s")


def test_similarity() -> None:
    signals = speaker_signals()
    assert speakers.similarity(signals[3], signals[3][:, None]) == pytest.approx(1, abs=1e-5)
    assert speakers.similarity(signals[0], signals[4]) < 0.95
    with pytest.raises(MetricError, match="silence has no speaker"):
        speakers.similarity(signals[0], np.zeros(16_000))


def test_what_is_missing_is_named(monkeypatch) -> None:
    def files(content: bytes):
        class File:
            name = "pretrained.pt"
            read_binary = staticmethod(lambda: content)

        return lambda package: [File()]

    for actual, reason in (
        (lambda package: [], "pip install --no-deps resemblyzer==0.1.4"),
        (files(b"nothing"), "cannot be read"),
        (files(b"\x80\x02N." * 5), "cannot be read"),
    ):
        monkeypatch.setattr(speakers.importlib.metadata, "files", actual)
        speakers.encoder.cache_clear()
        with pytest.raises(MetricError, match=reason):
            registry.select(["speaker"])
    speakers.encoder.cache_clear()
