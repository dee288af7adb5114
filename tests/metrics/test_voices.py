"""Speaker similarity by WavLM, with a small network in the place of the real one."""

from __future__ import annotations

import numpy as np
import pytest
from codax.metrics import registry, voices
from codax.metrics.signals import MetricError
from golden.make_xvector import signals, write_folder


@pytest.fixture
def uncached():
    voices.network.cache_clear()
    yield
    voices.network.cache_clear()


@pytest.fixture
def network(uncached, tmp_path, monkeypatch):
    write_folder(tmp_path, weighted=False)
    monkeypatch.setenv(voices.VARIABLE, str(tmp_path))


def test_similarity(network) -> None:
    compute = registry.select(["speaker-wavlm"]).measures[0].compute
    one, other = (signal[:, None] for signal in signals())
    assert compute(one, one, 16_000)["speaker_wavlm"] == pytest.approx(1, abs=1e-5)
    embeddings = [voices.network()(signal) for signal in signals()]
    expected = np.dot(*embeddings) / np.prod([np.linalg.norm(each) for each in embeddings])
    for reference, degraded in ((one, other), (one, np.repeat(other, 2, axis=1)), (other, one)):
        assert compute(reference, degraded, 16_000)["speaker_wavlm"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(MetricError, match="silence has no speaker"):
        compute(one, np.zeros_like(one), 16_000)


def test_missing_weights_are_one_line_before_the_work(uncached, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(voices.VARIABLE, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MetricError, match="hf download microsoft/wavlm-base-plus-sv, or CODAX_WAVLM_SV=FOLDER") as stop:
        registry.select(["speaker_wavlm"])
    assert "\n" not in str(stop.value)
