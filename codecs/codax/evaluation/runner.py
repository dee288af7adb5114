"""Systems x utterances x metrics: the loop behind eval.py and the end of `make train`."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio as audio_files
from codax.baselines import specs
from codax.data.progress import Progress
from codax.data.sources import Utterance, load_utterances
from codax.errors import CodaxError
from codax.evaluation import environment, plots, report
from codax.evaluation.content import ContentScorer
from codax.evaluation.recognition import TextScorer
from codax.evaluation.results import Results, Row, SystemResult, summarize
from codax.evaluation.statistics import DRAWS, LEVEL
from codax.evaluation.systems import BaselineSystem, CodecSystem, Original, Output, System, safe_name
from codax.metrics import codebooks, phones, recognizers, registry
from codax.metrics.recognizers import Recognizer
from codax.metrics.registry import Measure, Selection
from codax.staging import staged

BASELINE_RATE = 16_000  # Hz, of an evaluation without a model


def evaluate(
    model: Any,
    data: str,
    out: str | Path | None,
    *,
    kbps: Sequence[float] | None = None,
    quantizers: Sequence[int] | str | None = None,
    metrics: Sequence[str] = registry.DEFAULT,
    baselines: Sequence[str] = (),
    asr: str | Recognizer = "base",
    limit: int | None = None,
    split: str = "test",
    seed: int = 0,
    sample_rate: int | None = None,
    labels: str | None = None,
) -> Results:
    """Runs systems over data, scores them, and writes results, audio, plot and report.

    The original always takes part, as a hidden system. What cannot be scored for a file (too short for a metric, say)
    is left out of that mean, counted, and named in the results.

    Args:
      model: folder or name of a model, a loaded `codax.Codec`, or None for baselines alone.
      data: a SPEC of `codax.data.sources`.
      out: folder for results.json, per_file.csv, rate_quality.png, report.html and audio/; None = write nothing.
      kbps: rates of the model; None = those its config reports.
      quantizers: the rates as numbers of codebooks, instead of `kbps`; "all" = 1, 2, ...
      metrics: names of `codax.metrics.registry`.
      baselines: such as "opus:6".
      asr: a name for `codax.metrics.recognizers.FasterWhisper`, or a recogniser.
      limit: number of utterances, evenly spread; None = all.
      split: of the data, where it has splits.
      seed: of the bootstrap.
      sample_rate: Hz at which the evaluation runs; None = the model's, or 16 kHz without a model.
      labels: folder with the utterances' phones (`codax.metrics.phones`); None = forced alignment.

    Raises:
      CodaxError: bad input, before anything is written; or not one signal could be coded.
    """
    selection = registry.select(metrics)
    others = [BaselineSystem(specs.parse(spec)) for spec in baselines]
    codec = _load(model)
    coded = _codec_systems(codec, kbps, quantizers)
    if not coded and not others:
        raise CodaxError("nothing to evaluate: give a model or baselines")
    systems: list[System] = [Original(), *coded, *others]
    _refuse_duplicates(systems)
    rate = sample_rate or (codec.config.model.sample_rate if codec is not None else BASELINE_RATE)
    if limit is not None and limit < 1:
        raise CodaxError(f"limit = {limit}: must be at least 1")
    utterances = load_utterances(data, split=split, sample_rate=rate, limit=limit)
    scorer = _scorer(asr) if selection.text else None
    content = None
    if selection.phones or selection.abx:
        source = phones.LabelFolder(labels) if labels else phones.Aligner()
        content = ContentScorer(source, counts=selection.phones, abx=selection.abx)
    about = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": _describe_model(codec, model),
        "data": {
            "spec": data,
            "split": split,
            "utterances": len(utterances),
            "sample_rate": rate,
            "languages": sorted({u.language for u in utterances if u.language}),
            "with_transcript": sum(u.text is not None for u in utterances),
        },
        "settings": {
            "metrics": list(metrics),
            "seed": seed,
            "interval": f"{LEVEL:.0%} percentile bootstrap over utterances, {DRAWS} draws",
            "bits_per_second": "bits of the complete files / seconds of audio, pooled over the corpus",
            "phones": content.source if content else None,
            "recognizer": scorer.name if scorer else None,
            "recognizer_settings": dict(recognizers.SETTINGS, limit=recognizers.LIMIT)
            if scorer and isinstance(asr, str)
            else None,
        },
        "versions": environment.versions(),
    }
    if out is None:
        return _run(systems, utterances, selection, scorer, content, seed=seed, about=about, folder=None)
    with staged(out) as folder:
        results = _run(systems, utterances, selection, scorer, content, seed=seed, about=about, folder=folder)
        results.write(folder)
        plots.rate_quality(results, folder / "rate_quality.png")
        plots.information_split(results, folder / report.SPLIT)
        report.write(results, folder)
    return results


def _run(
    systems: Sequence[System],
    utterances: Sequence[Utterance],
    selection: Selection,
    scorer: TextScorer | None,
    content: ContentScorer | None,
    *,
    seed: int,
    about: dict[str, Any],
    folder: Path | None,
) -> Results:
    rows: dict[str, list[Row]] = {system.key: [] for system in systems}
    histograms: dict[str, np.ndarray] = {}
    names = _file_names(utterances)
    with Progress("evaluating", total=len(utterances) * len(systems), unit="signals") as progress:
        for utterance, name in zip(utterances, names, strict=True):
            bench = _Bench(utterance, selection, scorer)
            if content is not None:
                content.start(utterance)
            for system in systems:
                path = f"audio/{system.key}/{name}.wav"
                row = Row(system.key, utterance.id, path, bench.seconds, transcript=utterance.text or "")
                output = bench.measure(system, row)
                if output is not None:
                    if content is not None and output.codes is not None and isinstance(system, CodecSystem):
                        content.add(system, output.codes)
                        if content.error:
                            row.errors["pnmi" if selection.phones else "abx"] = content.error
                    if folder is not None:
                        path = folder / row.audio
                        path.parent.mkdir(parents=True, exist_ok=True)
                        audio_files.write(path, output.audio, utterance.sample_rate)
                    if selection.codes and output.codes is not None and isinstance(system, CodecSystem):
                        counts = codebooks.count_codes(output.codes, system.codebook_size)
                        histograms[system.key] = histograms.get(system.key, 0) + counts
                rows[system.key].append(row)
                progress.advance()
    summaries: list[SystemResult] = []
    for system in systems:
        use = None
        if system.key in histograms and isinstance(system, CodecSystem):
            use = codebooks.codebook_use(histograms[system.key], system.frame_rate, miller_madow=True)
        values = content.values(system.series, seed=seed) if content is not None else None
        summaries.append(summarize(system, rows[system.key], selection.keys, seed=seed, codebooks=use, content=values))
    if all("system" in row.errors for system in systems[1:] for row in rows[system.key]):
        first = rows[systems[1].key][0]
        raise CodaxError(f"not one signal could be coded; {first.utterance}: {first.errors['system']}")
    return Results(selection.keys, summaries, [row for system in systems for row in rows[system.key]], about)


class _Bench:
    """One utterance: what is the same for all systems is prepared once."""

    def __init__(self, utterance: Utterance, selection: Selection, scorer: TextScorer | None):
        self._rate, self.seconds = utterance.sample_rate, utterance.seconds
        self._selection, self._scorer = selection, scorer
        self._error, self._text_error = "", ""
        try:
            self._original = utterance.audio
        except CodaxError as error:
            self._error = _reason(error)
            return
        self.seconds = len(self._original) / self._rate
        self._resampled: dict[int, np.ndarray] = {self._rate: self._original}
        if scorer is not None:
            try:
                scorer.start(self._original, self._rate, utterance.text, utterance.language)
            except Exception as error:
                self._text_error = _reason(error)

    def measure(self, system: System, row: Row) -> Output | None:
        """Runs the system and every metric; fills the row. A failure is noted in it and spoils nothing else."""
        if self._error:
            row.errors["system"] = self._error
            return None
        begin = time.perf_counter()
        try:
            output = system(self._original, self._rate)
        except Exception as error:  # whatever a codec stumbles over concerns this file, not the evaluation
            row.errors["system"] = _reason(error)
            return None
        row.elapsed = time.perf_counter() - begin
        row.file_bytes, row.payload_bytes = output.file_bytes, output.payload_bytes
        if not np.isfinite(output.audio).all():
            row.errors["system"] = "the decoded audio holds values that are not finite"
            return None
        for measure in self._selection.measures:
            self._apply(measure, output.audio, row)
        if self._scorer is not None:
            self._listen(output.audio, row)
        return output

    def _apply(self, measure: Measure, decoded: np.ndarray, row: Row) -> None:
        rate = measure.rate or self._rate
        wanted = [value.key for value in measure.values if value.key in self._selection.keys]
        try:
            if rate not in self._resampled:
                self._resampled[rate] = audio_files.resample(self._original, self._rate, rate)
            scores = measure.compute(self._resampled[rate], audio_files.resample(decoded, self._rate, rate), rate)
        except Exception as error:
            row.errors[wanted[0]] = _reason(error)
            return
        row.scores.update({key: float(scores[key]) for key in wanted})

    def _listen(self, decoded: np.ndarray, row: Row) -> None:
        assert self._scorer is not None
        if self._text_error:
            row.errors["wer"] = self._text_error
            return
        try:
            score = self._scorer.score(decoded, self._rate)
        except Exception as error:
            row.errors["wer"] = _reason(error)
            return
        row.heard = score.heard
        row.counts = {key: counts for key, counts in score.counts.items() if key in self._selection.keys}


def _load(model: Any) -> Any:
    if model is None or not isinstance(model, str | Path):
        return model
    import codax

    return codax.load(model)


def _codec_systems(
    codec: Any, kbps: Sequence[float] | None, quantizers: Sequence[int] | str | None
) -> list[CodecSystem]:
    if kbps and quantizers:
        raise CodaxError("rates were given both as kbps and as numbers of codebooks")
    if codec is None:
        if kbps or quantizers:
            raise CodaxError("a rate was given without a model")
        return []
    if quantizers == "all":
        quantizers = range(1, codec.config.quantizer.num_quantizers + 1)
    if quantizers:
        kbps = [codec.config.kbps(codec.checked_levels(number)) for number in quantizers]
    return [CodecSystem(codec, rate) for rate in (kbps or codec.config.quantizer.kbps)]


def _scorer(asr: str | Recognizer) -> TextScorer:
    recognizer = recognizers.FasterWhisper(asr) if isinstance(asr, str) else asr
    if isinstance(asr, str):
        recognizer = recognizers.CachedRecognizer(recognizer, recognizers.transcript_cache())
    return TextScorer(recognizer)


def _describe_model(codec: Any, model: Any) -> dict[str, Any] | None:
    if codec is None:
        return None
    described: dict[str, Any] = {"name": codec.model_id, "hash": codec.hash.hex()}
    if isinstance(model, str | Path):
        described["path"] = str(model)
    if dataclasses.is_dataclass(codec.config) and not isinstance(codec.config, type):
        described["config"] = dataclasses.asdict(codec.config)
    return described


def _refuse_duplicates(systems: Sequence[System]) -> None:
    seen = set()
    for system in systems:
        if system.key in seen:
            raise CodaxError(f"{system.label} is asked for twice")
        seen.add(system.key)


def _file_names(utterances: Sequence[Utterance]) -> list[str]:
    """A safe and unique file name for each utterance."""
    names: list[str] = []
    used: set[str] = set()
    for utterance in utterances:
        stem = safe_name(utterance.id)[:120]
        name, count = stem, 1
        while name.lower() in used:  # some file systems do not tell upper from lower case
            count += 1
            name = f"{stem}-{count}"
        used.add(name.lower())
        names.append(name)
    return names


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CodaxError) else f"{type(error).__name__}: {text}".rstrip(": ")
