"""Predicted opinion scores of speech by packages of others, which need PyTorch and download their weights on first use.

UTMOS (arXiv 2204.02152), UTMOSv2 (arXiv 2409.09305), NISQA (arXiv 2104.09494) and SCOREQ (arXiv 2410.06675). Each
loader imports the package and loads the weights, so that a missing one is reported before the work begins.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from codax.metrics.measures import Measure, Value
from codax.metrics.signals import MetricError, installed, mono

SAMPLE_RATE = 16_000  # Hz, of all but NISQA
_HUB = "tarepan/SpeechMOS:v1.2.0"
Scores = dict[str, float]
Predictor = Callable[[np.ndarray, np.ndarray, int], Scores]  # original and decoded [time], and their rate in Hz


def _loader(name: str) -> Callable[[Callable[[], Predictor]], Callable[[], Predictor]]:
    """Makes a function that loads a predictor once; its failure is a MetricError of one line."""

    def decorate(load: Callable[[], Predictor]) -> Callable[[], Predictor]:
        @functools.cache
        def loaded() -> Predictor:
            try:
                with contextlib.redirect_stdout(sys.stderr):  # the packages print there what they load
                    return load()
            except MetricError:
                raise
            except Exception as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise MetricError(f"{name}: its weights cannot be loaded ({reason})") from error

        return loaded

    return decorate


@contextlib.contextmanager
def _without_modules(package: str) -> Iterator[None]:
    """Hides the loaded modules of a package in the block, and afterwards those that were loaded in it."""

    def withdrawn() -> dict[str, types.ModuleType]:
        names = [name for name in sys.modules if name.partition(".")[0] == package]
        return {name: sys.modules.pop(name) for name in names}

    hidden = withdrawn()
    try:
        yield
    finally:
        withdrawn()
        sys.modules.update(hidden)


@_loader("UTMOS")
def utmos() -> Predictor:
    """The strong learner of UTMOS, by SpeechMOS 1.2.0: predictor(float32 [batch, time], rate) -> [batch]."""
    installed("torchaudio", "torch torchaudio")
    torch = installed("torch", "torch torchaudio")
    with _without_modules("speechmos"):  # its package has the name of Microsoft's, which computes DNSMOS
        model = torch.hub.load(_HUB, "utmos22_strong", trust_repo=True).eval()

    def predict(_: np.ndarray, degraded: np.ndarray, rate: int) -> Scores:
        with torch.no_grad():
            return {"utmos": float(model(torch.from_numpy(degraded)[None], rate)[0])}

    return predict


@_loader("UTMOSv2")
def utmosv2() -> Predictor:
    """UTMOSv2, as of commit 02e2622: create_model().predict(data=float32 [time] at 16 kHz) -> a number."""
    package = installed("utmosv2", "git+https://github.com/sarulab-speech/UTMOSv2.git")
    model = package.create_model(pretrained=True)

    def predict(_: np.ndarray, degraded: np.ndarray, __: int) -> Scores:
        state = np.random.get_state()  # the package draws excerpts from NumPy's global generator
        np.random.seed(0)
        try:
            score = model.predict(data=degraded, device="cpu", num_workers=0, batch_size=1, verbose=False)
        finally:
            np.random.set_state(state)
        return {"utmosv2": float(score)}

    return predict


@_loader("NISQA")
def nisqa() -> Predictor:
    """NISQA 2.0 by torchmetrics 1.9: function(float32 [time], rate) -> [5], in the order of `_NISQA`."""
    torch = installed("torch", "torch torchmetrics librosa requests")
    module = installed("torchmetrics.functional.audio.nisqa", "torch torchmetrics librosa requests")
    score = module.non_intrusive_speech_quality_assessment
    score(torch.zeros(SAMPLE_RATE), SAMPLE_RATE)  # it loads the weights when it is first called

    def predict(_: np.ndarray, degraded: np.ndarray, rate: int) -> Scores:
        values = score(torch.from_numpy(degraded), rate)
        return {key: float(value) for (key, _), value in zip(_NISQA, values, strict=True)}

    return predict


@_loader("SCOREQ")
def scoreq() -> Predictor:
    """SCOREQ 1.0.1 without reference, for natural speech."""
    model = _scoreq("nr")
    return lambda _, degraded, __: {"scoreq": float(model.predict(test_path=degraded))}


@_loader("SCOREQ")
def scoreq_ref() -> Predictor:
    """SCOREQ 1.0.1 with reference, for natural speech: the distance of the embeddings of both signals."""
    model = _scoreq("ref")
    return lambda original, degraded, _: {"scoreq_ref": float(model.predict(test_path=degraded, ref_path=original))}


def _scoreq(mode: str) -> Any:
    torch = installed("torch", "scoreq onnxruntime")
    model = installed("scoreq", "scoreq onnxruntime").Scoreq(data_domain="natural", mode=mode)
    # It reads files by torchaudio.load, whose newer versions need another package: it gets the samples instead.
    model.load_processing = lambda samples, target_sr=SAMPLE_RATE: torch.from_numpy(samples)[None]
    return model


def _measure(loader: Callable[[], Predictor], values: tuple[Value, ...], rate: int | None = SAMPLE_RATE) -> Measure:
    def compute(reference: np.ndarray, degraded: np.ndarray, rate: int) -> Scores:
        original, decoded = (np.ascontiguousarray(mono(x), np.float32) for x in (reference, degraded))
        if not decoded.any():
            raise MetricError(f"{values[0].label} is not defined: the signal is silent")
        with contextlib.redirect_stdout(sys.stderr):
            return loader()(original, decoded, rate)

    return Measure(values, compute, rate=rate, check=loader)


def _mos(key: str, label: str, definition: str) -> Value:
    return Value(key, label, "higher", definition, "MOS", floor=1.0)


_NISQA = (
    ("nisqa", "overall quality"),
    ("nisqa_noisiness", "noisiness"),
    ("nisqa_discontinuity", "discontinuity"),
    ("nisqa_coloration", "coloration"),
    ("nisqa_loudness", "loudness"),
)
_SCOREQ = "SCOREQ 1.0 for natural speech"
MEASURES: tuple[Measure, ...] = (
    _measure(
        utmos, (_mos("utmos", "UTMOS", f"UTMOS strong learner ({_HUB}), without the original, 16 kHz, mean channel."),)
    ),
    _measure(
        utmosv2,
        (
            _mos(
                "utmosv2",
                "UTMOSv2",
                "UTMOSv2 (fusion_stage3, fold 0, one excerpt of seed 0), without the original, 16 kHz, mean channel.",
            ),
        ),
    ),
    _measure(
        nisqa,
        tuple(
            _mos(
                key,
                "NISQA" if key == "nisqa" else f"NISQA {what}",
                f"NISQA 2.0 (torchmetrics), {what} as an opinion score, without the original, at the evaluation's "
                "sample rate, mean channel.",
            )
            for key, what in _NISQA
        ),
        rate=None,
    ),
    _measure(scoreq, (_mos("scoreq", "SCOREQ", f"{_SCOREQ}, without the original, 16 kHz, mean channel."),)),
    _measure(
        scoreq_ref,
        (
            Value(
                "scoreq_ref",
                "SCOREQ distance",
                "lower",
                f"{_SCOREQ}: distance of the embeddings of original and decoded signal, 16 kHz, mean channel.",
                "",
                3,
                floor=2.0,  # the embeddings have length 1
            ),
        ),
    ),
)
NAMES: dict[str, tuple[str, ...]] = {
    measure.values[0].key: tuple(value.key for value in measure.values) for measure in MEASURES
}
