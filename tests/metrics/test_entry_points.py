"""Metrics of installed packages, by entry points: the packages are folders on sys.path, as pip leaves them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codax.metrics import registry
from codax.metrics.signals import MetricError

MODULE = '''
from codax.metrics.registry import Measure, Pooled, Value

values = (Value("crest", "Crest factor", "", "Peak over RMS of the decoded signal."),)
rate = 8000


def compute(reference, degraded, rate):
    return {"crest": abs(degraded).max() + rate}


class Peak:
    """A class, made without arguments."""

    values = (Value("top", "Peak", "lower", "Largest magnitude."),)
    needs = ("degraded",)

    def compute(self, degraded):
        return {"top": abs(degraded).max()}


energy = Pooled((Value("energy", "Energy", "", "Sum."),), lambda x, _: (x * x).sum(), lambda a, b: {"energy": b / a})
empty = object()
no_values = Peak()
no_values.values = ("top",)
'''
POINTS = """[codax.metrics]
crest = metric_of_ours
Top-Peak = metric_of_ours:Peak
energy = metric_of_ours:energy
empty = metric_of_ours:empty
no_values = metric_of_ours:no_values
absent = metric_of_ours:absent
broken = broken_module
snr_ = metric_of_ours:absent
twice = metric_of_ours:Peak
"""


def install(folder: Path, package: str, points: str) -> None:
    """Writes the metadata of an installed package."""
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(points)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    (tmp_path / "metric_of_ours.py").write_text(MODULE)
    (tmp_path / "broken_module.py").write_text("import no_such_module_at_all\n")
    install(tmp_path, "ours", POINTS)
    install(tmp_path, "theirs", "[codax.metrics]\ntwice = metric_of_ours:Peak\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("VALUES", "NAMES"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    for name in ("MEASURES", "POOLED"):
        monkeypatch.setattr(registry, name, list(getattr(registry, name)))
    yield tmp_path
    sys.modules.pop("metric_of_ours", None)


def test_modules_classes_and_objects(installed):
    assert {"crest", "top_peak", "energy", "broken", "snr"} <= set(registry.names())
    assert "metric_of_ours" not in sys.modules  # names are known without loading anything
    selection = registry.select(["snr", "crest", "top-peak", "energy"])
    assert set(selection.keys) == {"snr", "crest", "top", "energy"}
    by_key = {measure.values[0].key: measure for measure in selection.measures}
    signal = np.full((10, 1), 0.5)
    assert by_key["crest"].compute(signal, signal, 8000) == {"crest": 8000.5} and by_key["crest"].rate == 8000
    assert by_key["top"].compute(signal) == {"top": 0.5}
    assert selection.pooled[0].compare(*(selection.pooled[0].statistics(x * signal, 1) for x in (1, 2))) == {
        "energy": 4
    }
    assert registry.select(["crest"]).keys == ("crest",)  # once more


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "package ours cannot be used .ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("absent", "package ours cannot be used .AttributeError"),
        ("empty", "package ours cannot be used .it has no compute"),
        ("no_values", "its values are not a tuple of codax.metrics.registry.Value"),
        ("twice", "metric twice: of several packages, ours and theirs"),
        ("unknown", "unknown metric 'unknown': expected some of visqol, .*, crest, top_peak"),
    ],
)
def test_broken_ones_are_one_line_and_the_others_work(installed, name, reason):
    with pytest.raises(MetricError, match=reason) as stop:
        registry.select(["snr", name])
    assert "\n" not in str(stop.value)
    assert set(registry.select(["crest", "snr"]).keys) == {"snr", "crest"}


def test_the_help_names_them(installed):
    done = subprocess.run(
        [sys.executable, "-m", "codax", "eval", "--help"],
        env={"PYTHONPATH": ":".join([str(installed), *sys.path]), "PATH": "/usr/bin:/bin", "HOME": str(installed)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "top_peak" in " ".join(done.stdout.split())


def test_an_evaluation_in_several_processes_has_them(installed, tmp_path, monkeypatch):
    """Its workers load them again."""
    from codax.evaluation import runner

    audio = pytest.importorskip("codax.audio")
    (tmp_path / "data").mkdir()
    for index in range(2):
        audio.write(tmp_path / "data" / f"{index}.wav", np.full((8000, 1), 0.25 * (index + 1)), 16_000)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(installed), *sys.path]))
    options = {"baselines": ("anchor35",), "metrics": ("top_peak", "energy"), "processes": 2}
    results = runner.evaluate(None, str(tmp_path / "data"), tmp_path / "out", **options)
    assert results.systems[0].metrics["top"].mean == pytest.approx(0.375, abs=1e-3)
    assert results.systems[0].metrics["energy"].mean == 1
