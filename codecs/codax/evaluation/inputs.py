"""Prepares and checks the inputs of an evaluation: systems, utterances and metrics."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from typing import Any

from codax.baselines import anchors, specs
from codax.codec.checks import checked_levels
from codax.data.noise import SPEC
from codax.data.sources.scan import file_stamp
from codax.data.sources.spec import Utterance, load_utterances
from codax.errors import CodaxError
from codax.evaluation import environment
from codax.evaluation.codecs import Model, describe, find_models
from codax.evaluation.content import ContentScorer
from codax.evaluation.decoded import DecodedFiles
from codax.evaluation.noise import InNoise, Noise
from codax.evaluation.protocols import Protocol
from codax.evaluation.recognition import TextScorer
from codax.evaluation.statistics import DRAWS, LEVEL
from codax.evaluation.systems import Anchor, BaselineSystem, CodecSystem, Original, System
from codax.metrics import phones, recognizers, registry
from codax.metrics.recognizers import Recognizer
from codax.metrics.registry import Selection
from codax.metrics.signals import MetricError
from codax.storage.digests import sha256

BASELINE_RATE = 16_000  # Hz, for an evaluation without a model


@dataclasses.dataclass(frozen=True)
class Setup:
    """The inputs of an evaluation.

    Attributes:
      systems: the original first.
      utterances: in order.
      selection: the metrics.
      scorer: of recognised words, if selected.
      content: of first codebooks, if selected.
      about: models, data, settings and versions, for results.json.
    """

    systems: list[System | DecodedFiles]
    utterances: list[Utterance]
    selection: Selection
    scorer: TextScorer | None
    content: ContentScorer | None
    about: dict[str, Any]

    def describe(self) -> str:
        """Says what is measured on what, in one line."""
        seconds = sum(utterance.entry.seconds for utterance in self.utterances)
        systems = ", ".join(system.label for system in self.systems[1:])
        return (
            f"{systems}; {len(self.utterances)} utterances, {seconds:.0f} s; "
            f"{', '.join(self.about['settings']['metrics'])}"
        )

    def fingerprint(self) -> str:
        """Hash of everything that measurements depend on: evaluations with the same hash can share them."""
        about = {key: value for key, value in self.about.items() if key != "created"}
        about["systems"] = [(system.key, system.description) for system in self.systems]
        about["utterances"] = [
            (u.id, u.text, u.language, u.entry.seconds, file_stamp(u.entry.file)) for u in self.utterances
        ]
        about["settings"] = {key: value for key, value in about["settings"].items() if key != "seed"}
        return sha256(json.dumps(about, sort_keys=True, default=str)).hexdigest()


def prepare(
    model: Any,
    data: str,
    *,
    kbps: Sequence[float] | None,
    quantizers: Sequence[int] | str | None,
    metrics: Sequence[str],
    baselines: Sequence[str],
    asr: str | Recognizer,
    limit: int | None,
    split: str,
    seed: int,
    sample_rate: int | None,
    labels: str | None,
    channels: str = "each",
    decoded: Sequence[str] = (),
    protocol: Protocol | None = None,
    denoise: bool = False,
    snr: Sequence[float] = (),
    noise: str = SPEC,
) -> Setup:
    """See `codax.evaluation.runner.evaluate` for the arguments. Raises CodaxError for invalid input."""
    selection = _selected(metrics, protocol)
    others: list[System] = [_other(spec.strip()) for spec in baselines]
    models, files = find_models(model), [DecodedFiles(spec) for spec in decoded]
    if not models and (kbps or quantizers):
        raise CodaxError("a rate was given without a model")
    if denoise and all(each.codec.config.model.film == "none" for each in models):
        raise CodaxError("no model was trained to denoise")
    coded = [system for each in models for system in _codec_systems(each, kbps, quantizers, channels, denoise)]
    if not coded and not others and not files:
        raise CodaxError("nothing to evaluate: give a model, decoded files or baselines")
    systems: list[System | DecodedFiles] = [Original(), *coded, *files, *others]
    rate = sample_rate or _common_rate(models, files)
    if limit is not None and limit < 1:
        raise CodaxError(f"limit = {limit}: must be at least 1")
    added = Noise(noise, split=split, sample_rate=rate) if snr else None
    if added is not None:
        heard = [system for system in systems if not isinstance(system, Anchor | DecodedFiles)]
        systems += [InNoise(system, added, each) for each in snr for system in heard]
    _refuse_duplicates(systems)
    utterances = load_utterances(data, split=split, sample_rate=rate, limit=limit)
    for each in files:
        each.check_pairs(utterances)
    scorer = _scorer(asr) if selection.text else None
    content = _content(selection, labels)
    about: dict[str, Any] = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "models": [describe(each) for each in models],
    }
    if protocol and protocol.name:
        about["protocol"] = protocol.facts(len(utterances))
    if files:
        about["decoded"] = [each.facts() for each in files]
    about["data"] = _data_facts(data, split, utterances, rate)
    about["settings"] = {
        "metrics": list(metrics),
        "seed": seed,
        "channels": channels,
        "noise": added.description if added else None,
    } | _measures(scorer, content)
    about["versions"] = environment.versions()
    return Setup(systems, utterances, selection, scorer, content, about)


def _selected(metrics: Sequence[str], protocol: Protocol | None) -> Selection:
    try:
        return registry.select(metrics)
    except MetricError as error:
        raise MetricError(f"protocol {protocol.name}: {error}" if protocol and protocol.name else str(error)) from error


def _content(selection: Selection, labels: str | None) -> ContentScorer | None:
    if not (selection.phones or selection.abx):
        return None
    source = phones.LabelFolder(labels) if labels else phones.Aligner()
    return ContentScorer(source, counts=selection.phones, abx=selection.abx)


def _measures(scorer: TextScorer | None, content: ContentScorer | None) -> dict[str, Any]:
    """The settings of intervals, rates, phones and recognition."""
    is_whisper = scorer is not None and scorer.name.startswith(recognizers.WHISPER)
    return {
        "interval": f"{LEVEL:.0%} percentile bootstrap over utterances, {DRAWS} draws",
        "bits_per_second": "bits of the complete files / seconds of audio, pooled over the corpus",
        "phones": content.source if content else None,
        "recognizer": scorer.name if scorer else None,
        "recognizer_settings": dict(recognizers.SETTINGS, limit=recognizers.LIMIT) if is_whisper else None,
    }


def _data_facts(data: str, split: str, utterances: Sequence[Utterance], sample_rate: int) -> dict[str, Any]:
    return {
        "spec": data,
        "split": split,
        "utterances": len(utterances),
        "sample_rate": sample_rate,
        "languages": sorted({u.language for u in utterances if u.language}),
        "with_transcript": sum(u.text is not None for u in utterances),
    }


def _codec_systems(
    model: Model, kbps: Sequence[float] | None, quantizers: Sequence[int] | str | None, channels: str, denoise: bool
) -> list[CodecSystem]:
    codec = model.codec
    if kbps and quantizers:
        raise CodaxError("rates were given both as kbps and as numbers of codebooks")
    if quantizers == "all":
        quantizers = range(1, codec.config.quantizer.num_quantizers + 1)
    if quantizers:
        kbps = [codec.config.kbps(checked_levels(codec.config, int(number))) for number in quantizers]
    return [
        CodecSystem(codec, rate, model.name, channels, denoise=on)
        for rate in (kbps or codec.config.quantizer.kbps)
        for on in ((False, True) if denoise and codec.config.model.film != "none" else (False,))
    ]


def _common_rate(models: Sequence[Model], files: Sequence[DecodedFiles]) -> int:
    """The rate of the evaluation in Hz: the models', else the decoded files', else `BASELINE_RATE`."""
    kind, rates = "models", {each.codec.config.model.sample_rate for each in models}
    if not rates:
        kind, rates = "decoded files", set().union(*(each.sample_rates() for each in files))
    if len(rates) > 1:
        raise CodaxError(f"{kind} at {' and '.join(map(str, sorted(rates)))} Hz: give the rate of the comparison")
    return rates.pop() if rates else BASELINE_RATE


def _other(spec: str) -> System:
    return Anchor(spec) if spec in anchors.EDGES else BaselineSystem(specs.parse(spec))


def _scorer(asr: str | Recognizer) -> TextScorer:
    recognizer = recognizers.open_recognizer(asr) if isinstance(asr, str) else asr
    if isinstance(asr, str):
        recognizer = recognizers.CachedRecognizer(recognizer, recognizers.transcript_cache())
    return TextScorer(recognizer)


def _refuse_duplicates(systems: Sequence[System | DecodedFiles]) -> None:
    seen = set()
    for system in systems:
        if system.key in seen:
            raise CodaxError(f"{system.label} is given twice")
        seen.add(system.key)
