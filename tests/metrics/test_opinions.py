"""Predicted opinion scores, with stand-ins that have the interfaces of the packages."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from codax.metrics import opinions, registry
from codax.metrics.signals import MetricError

RATE = 16_000
LOADERS = (opinions.utmos, opinions.utmosv2, opinions.nisqa, opinions.scoreq, opinions.scoreq_ref)


class Tensor(np.ndarray):
    """A torch.Tensor, as far as it is used."""


def tensor(array):
    assert array.dtype == np.float32 and array.flags.c_contiguous
    return array.view(Tensor)


class Hub:
    """torch.hub with SpeechMOS's predictor: (float32 [batch, time], rate) -> [batch]."""

    def load(self, repository, name, *, trust_repo):
        assert (repository, name, trust_repo) == ("tarepan/SpeechMOS:v1.2.0", "utmos22_strong", True)
        assert "speechmos" not in sys.modules and "speechmos.dnsmos" not in sys.modules
        sys.modules["speechmos"] = sys.modules["speechmos.utmos22"] = types.ModuleType("theirs")
        return self

    def eval(self):
        return self

    def __call__(self, wave, sr):
        assert isinstance(wave, Tensor) and wave.ndim == 2 and sr == RATE
        return 3 + np.abs(wave).max(axis=1)


class Utmosv2:
    """UTMOSv2's model: the score depends on the excerpt that it draws."""

    def predict(self, *, data, device, num_workers, batch_size, verbose):
        assert isinstance(data, np.ndarray) and data.ndim == 1 and (device, num_workers) == ("cpu", 0) and not verbose
        return np.float32(np.random.uniform(2, 3))


class Scoreq:
    """scoreq.Scoreq: `predict` loads what it is given by `load_processing`."""

    def __init__(self, data_domain="natural", mode="nr", use_onnx=True):
        print("SCOREQ (ONNX) initialized on provider: CPUExecutionProvider")
        assert data_domain == "natural" and use_onnx
        self.mode = mode

    def load_processing(self, filepath, target_sr=RATE):
        raise AssertionError("no file is read")

    def predict(self, test_path, ref_path=None):
        wave = self.load_processing(test_path)
        assert isinstance(wave, Tensor) and wave.ndim == 2
        if self.mode == "nr":
            return 4.5
        return float(np.linalg.norm(wave - self.load_processing(ref_path)))


def nisqa(preds, fs):
    assert isinstance(preds, Tensor) and preds.ndim == 1
    return np.arange(5) / 2 + (1 if fs == 24_000 else 2)


@pytest.fixture(autouse=True)
def uncached():
    for loader in LOADERS:
        loader.cache_clear()
    yield
    for loader in LOADERS:
        loader.cache_clear()


@pytest.fixture
def packages(monkeypatch):
    class NoGrad:
        __enter__ = __exit__ = lambda *_: None

    torch = types.SimpleNamespace(
        hub=Hub(), from_numpy=tensor, no_grad=NoGrad, zeros=lambda n: tensor(np.zeros(n, np.float32))
    )
    modules = {
        "torch": torch,
        "torchaudio": object(),
        "utmosv2": types.SimpleNamespace(create_model=lambda pretrained: Utmosv2()),
        "scoreq": types.SimpleNamespace(Scoreq=Scoreq),
        "torchmetrics": types.ModuleType("torchmetrics"),
        "torchmetrics.functional": types.ModuleType("functional"),
        "torchmetrics.functional.audio": types.ModuleType("audio"),
        "torchmetrics.functional.audio.nisqa": types.SimpleNamespace(non_intrusive_speech_quality_assessment=nisqa),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def scores(name, reference, degraded, rate=RATE):
    (measure,) = registry.select([name]).measures
    return measure.compute(reference, degraded, measure.rate or rate)


SIGNAL = np.sin(np.arange(RATE) / 10)[:, None].astype(np.float32) / 2


def test_scores(packages, capsys):
    stereo = np.concatenate([SIGNAL, np.zeros_like(SIGNAL)], axis=1)
    assert scores("utmos", SIGNAL, stereo) == {"utmos": pytest.approx(3.25, abs=1e-3)}
    assert scores("scoreq", SIGNAL, SIGNAL) == {"scoreq": 4.5}
    assert scores("scoreq_ref", SIGNAL, SIGNAL) == {"scoreq_ref": 0}
    assert scores("scoreq_ref", SIGNAL, SIGNAL / 2)["scoreq_ref"] > 1
    names = ["nisqa", "nisqa_noisiness", "nisqa_discontinuity", "nisqa_coloration", "nisqa_loudness"]
    assert scores("nisqa", SIGNAL, SIGNAL, 24_000) == dict(zip(names, [1, 1.5, 2, 2.5, 3], strict=True))
    assert capsys.readouterr().out == ""  # messages of the packages are on stderr


def test_two_packages_have_one_name(packages, monkeypatch):
    """That of DNSMOS is hidden from UTMOS and the other way round, in either order."""
    ours = {name: types.ModuleType(name) for name in ("speechmos", "speechmos.dnsmos")}
    for name, module in ours.items():
        monkeypatch.setitem(sys.modules, name, module)
    registry.select(["utmos"])
    assert {name: module for name, module in sys.modules.items() if name.startswith("speechmos")} == ours


def test_random_excerpts_are_the_same_every_time_and_nobody_elses(packages):
    np.random.seed(1)
    expected = np.random.uniform()
    np.random.seed(1)
    first, second = (scores("utmosv2", SIGNAL, SIGNAL) for _ in range(2))
    assert first == second
    assert np.random.uniform() == expected


@pytest.mark.parametrize("name", list(opinions.NAMES))
def test_silence_has_no_score(packages, name):
    with pytest.raises(MetricError, match="is not defined: the signal is silent"):
        scores(name, SIGNAL, np.zeros_like(SIGNAL))


@pytest.mark.parametrize(
    ("name", "missing", "command"),
    [
        ("utmos", "torch", "pip install torch torchaudio"),
        ("utmos", "torchaudio", "pip install torch torchaudio"),
        ("utmosv2", "utmosv2", "pip install git"),
        ("nisqa", "torchmetrics.functional.audio.nisqa", "pip install torch torchmetrics librosa requests"),
        ("scoreq", "scoreq", "pip install scoreq onnxruntime"),
        ("scoreq_ref", "torch", "pip install scoreq onnxruntime"),
    ],
)
def test_a_missing_package_is_one_line(packages, monkeypatch, name, missing, command):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MetricError, match=rf"{missing.split('.')[0]} is not installed .*: {command}") as stop:
        registry.select([name])
    assert "\n" not in str(stop.value)


def test_weights_that_cannot_be_loaded_are_one_line(packages, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host\nTraceback of the download")

    monkeypatch.setattr(Hub, "load", offline)
    with pytest.raises(MetricError, match=r"UTMOS: its weights cannot be loaded \(no route to host\)$"):
        registry.select(["utmos"])
    monkeypatch.undo()
