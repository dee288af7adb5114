"""Runs one utterance through every system and computes every metric."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio as audio_files
from codax.data.sources.spec import Utterance
from codax.errors import CodaxError
from codax.evaluation.decoded import DecodedFiles
from codax.evaluation.recognition import TextScorer
from codax.evaluation.results import Row
from codax.evaluation.systems import CodecSystem, Original, Output, System
from codax.metrics.measures import TEXTS, Measure, Value
from codax.metrics.registry import Selection


@dataclasses.dataclass
class Measured:
    """The measurements of an utterance.

    Attributes:
      rows: of every system, in order.
      codes: key of a system -> int [streams, frames, quantizers], for systems with codes.
      sums: (key of a system, name of a pooled measure) -> its statistics of the utterance.
    """

    rows: list[Row]
    codes: dict[str, np.ndarray]
    sums: dict[tuple[str, str], np.ndarray] = dataclasses.field(default_factory=dict)


def measure(
    utterance: Utterance,
    name: str,
    systems: Sequence[System | DecodedFiles],
    selection: Selection,
    scorer: TextScorer | None,
    folder: Path | None,
) -> Measured:
    """Runs the systems and scores them; failures are recorded in the rows.

    Args:
      utterance: to be coded.
      name: of its audio files.
      systems: the original first.
      selection: the metrics.
      scorer: of recognised words, if selected.
      folder: receives audio/SYSTEM/NAME.wav; None = nothing is written.
    """
    bench = _Bench(utterance, selection, scorer)
    measured = Measured([], {})
    for system in systems:
        path = f"audio/{system.key}/{name}.wav"
        row = Row(system.key, utterance.id, path, bench.seconds, transcript=utterance.text or "")
        output = bench.measure(system, row)
        measured.rows.append(row)
        if output is None:
            continue
        if output.codes is not None:
            measured.codes[system.key] = output.codes
        for pooled, statistics in bench.statistics(output, row).items():
            measured.sums[system.key, pooled] = statistics
        if folder is not None:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            audio_files.write(target, output.audio, utterance.sample_rate)
    return measured


class _Bench:
    """One utterance; work that is common to all systems is done once."""

    def __init__(self, utterance: Utterance, selection: Selection, scorer: TextScorer | None):
        self._rate, self.seconds = utterance.sample_rate, utterance.seconds
        self._selection, self._scorer = selection, scorer
        self._error, self._text_error = "", ""
        self._measurable: set[str] = set()  # keys of values that the original has
        heard = [v.key for m in selection.measures if set(TEXTS).intersection(m.needs) for v in m.values]
        self._text_key = "wer" if "wer" in selection.keys else next(iter(heard), "wer")  # key of transcription errors
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

    def measure(self, system: System | DecodedFiles, row: Row) -> Output | None:
        """Runs the system and every metric, and fills the row. A failure is recorded in it and affects nothing else."""
        if self._error:
            row.errors["system"] = self._error
            return None
        begin = time.perf_counter()
        try:
            code = system.of(row.utterance) if isinstance(system, DecodedFiles) else system
            output = code(self._original, self._rate)
        except Exception as error:  # any failure of a codec concerns this file only, not the evaluation
            row.errors["system"] = _reason(error)
            return None
        if not isinstance(system, DecodedFiles):
            row.elapsed = time.perf_counter() - begin
        row.file_bytes, row.payload_bytes, row.streams = output.file_bytes, output.payload_bytes, output.streams
        if not np.isfinite(output.audio).all():
            row.errors["audio"] = "the decoded audio holds values that are not finite: it counts as silence"
            output = dataclasses.replace(output, audio=np.zeros_like(output.audio))
        inputs = self._signals(output.audio) | self._texts(output.audio, row) | _codes(system, output)
        for measure in self._selection.measures:
            self._apply(measure, inputs, row)
        if isinstance(system, Original):
            self._measurable = {*row.scores, *row.counts}
        return output

    def statistics(self, output: Output, row: Row) -> dict[str, np.ndarray]:
        """The statistics of every pooled measure by its name; a failure is recorded in the row."""
        statistics = {}
        for measure in self._selection.pooled:
            inputs = self._signals(output.audio, measure.rate)
            try:
                statistics[measure.name] = np.asarray(measure.statistics(inputs["degraded"], inputs["rate"]))
            except Exception as error:
                row.errors[measure.name] = _reason(error)
        return statistics

    def _apply(self, measure: Measure, inputs: dict[str, Any], row: Row) -> None:
        """Computes the values of a measure; those that only the original has get their floor."""
        scores, reason = {}, row.errors.get("audio", "")
        try:
            if "degraded" in measure.needs and measure.rate:
                inputs = inputs | self._signals(inputs["degraded"], measure.rate)
            if any(name not in inputs for name in measure.needs):
                return  # the system has no codes, or the row has the reason for a missing transcript
            if not reason or "degraded" not in measure.needs:
                scores = measure.compute(*(inputs[name] for name in measure.needs))
        except Exception as error:
            reason = _reason(error)
        for value in measure.values:
            if value.key not in self._selection.keys:
                continue
            score = float(scores.get(value.key, math.nan))
            if not math.isfinite(score):
                row.errors[value.key] = reason or f"{value.label} is not a finite number"
                if not self._original_has(value, measure, inputs):
                    continue
                if not math.isfinite(score := _floor(value, measure, inputs)):
                    continue
                row.errors[value.key] += f"; counts as {score:.3g}, the floor"
                row.floored.append(value.key)
            row.scores[value.key] = score

    def _original_has(self, value: Value, measure: Measure, inputs: dict[str, Any]) -> bool:
        """Whether the original can be measured, with the frame rate of the system if that is needed."""
        if "frame_rate" not in measure.needs:
            return value.key in self._measurable
        return math.isfinite(_value(value, measure, inputs | {"degraded": inputs["reference"]}))

    def _signals(self, decoded: np.ndarray, rate: int | None = None) -> dict[str, Any]:
        """The inputs `measures.SIGNALS`, resampled to `rate` if given."""
        rate = rate or self._rate
        if rate not in self._resampled:
            self._resampled[rate] = audio_files.resample(self._original, self._rate, rate)
        degraded = audio_files.resample(decoded, self._rate, rate)
        return {"reference": self._resampled[rate], "degraded": degraded, "rate": rate}

    def _texts(self, decoded: np.ndarray, row: Row) -> dict[str, Any]:
        """The inputs `measures.TEXTS`; also sets the row's error counts. Empty without a recogniser or if it fails."""
        if self._scorer is None:
            return {}
        if self._text_error:
            row.errors[self._text_key] = self._text_error
            return {}
        try:
            heard = self._scorer.hear(decoded, self._rate)
            row.counts = self._scorer.counts(heard, self._selection.keys)
        except Exception as error:
            row.errors[self._text_key] = _reason(error)
            if not self._measurable:
                return {}
            heard = ""  # a signal that cannot be recognised has no words
            row.errors[self._text_key] += "; counts as no words"
            row.counts = self._scorer.counts(heard, self._selection.keys)
        if "audio" in row.errors or self._text_key in row.errors:
            row.floored += row.counts
        row.heard = heard
        return self._scorer.inputs(heard)


def _floor(value: Value, measure: Measure, inputs: dict[str, Any]) -> float:
    """The floor of a value: its own, or that of silence; NaN if silence cannot be measured."""
    if value.floor is not None:
        return value.floor
    return _value(value, measure, inputs | {"degraded": np.zeros_like(inputs["degraded"])})


def _value(value: Value, measure: Measure, inputs: dict[str, Any]) -> float:
    """One value of a measure; NaN if it cannot be computed."""
    try:
        return float(measure.compute(*(inputs[name] for name in measure.needs))[value.key])
    except Exception:
        return math.nan


def _codes(system: System | DecodedFiles, output: Output) -> dict[str, Any]:
    """The inputs `measures.CODES` of a codec; of a baseline the frame rate, if its frames have one."""
    rate = {} if system.frame_rate is None else {"frame_rate": system.frame_rate}
    if output.codes is None or not isinstance(system, CodecSystem):
        return rate
    return {"codes": output.codes, "codebook_size": system.codebook_size, **rate}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CodaxError) else f"{type(error).__name__}: {text}".rstrip(": ")
