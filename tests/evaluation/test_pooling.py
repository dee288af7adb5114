"""Values of whole systems, from sums over the utterances."""

import json

import numpy as np
import pytest
from codax.errors import CodaxError
from codax.evaluation import runner
from codax.metrics import registry
from codax.metrics.measures import Pooled, Value


def power(signal, rate):
    """Sum of squares and number of samples; the shortest clip has none."""
    if len(signal) < 8500:
        raise CodaxError("too short")
    return np.array([np.square(signal).sum(), signal.size])


@pytest.fixture
def powers(monkeypatch):
    for name in ("VALUES", "NAMES"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.setattr(registry, "POOLED", list(registry.POOLED))
    value = Value("powers", "Powers", "lower", "Ratio of powers.")
    compare = lambda a, b: {"powers": (b[0] / b[1]) / (a[0] / a[1])}  # noqa: E731
    registry.register("powers", Pooled((value,), power, compare, rate=8000))


def test_sums_over_utterances(powers, codec, folder, tmp_path):
    out = tmp_path / "out"
    results = runner.evaluate(codec, str(folder), out, kbps=[128.0], metrics=("powers", "level"))
    original, system = (each.metrics["powers"] for each in results.systems)
    assert (original.mean, system.mean) == (1, pytest.approx(1, abs=0.2))
    assert (system.n, system.of, system.low, system.high) == (2, 3, system.mean, system.mean)
    assert {failure["metric"] for failure in results.failures()} == {"powers"}
    assert all(failure["reason"] == "too short" for failure in results.failures())
    document = json.loads((out / "results.json").read_text())
    assert document["systems"][1]["metrics"]["powers"]["note"] == "2 of 3"
    assert "Ratio of powers." in (out / "report.html").read_text()
    assert "powers" not in (out / "per_file.csv").read_text().splitlines()[0]


def test_a_system_that_fails_is_compared_over_its_own_utterances(powers, codec, folder):
    encode, calls = codec.encode, []

    def fails_once(*arguments, **options):
        calls.append(0)
        if len(calls) == 1:
            raise CodaxError("no")
        return encode(*arguments, **options)

    codec.encode = fails_once
    results = runner.evaluate(codec, str(folder), None, kbps=[128.0], metrics=("powers",))
    assert results.systems[1].metrics["powers"].n == 1
    assert results.systems[1].metrics["powers"].mean == pytest.approx(1, abs=0.2)
