"""`codax probe`: accuracy of labels read from the codes of several codecs, for several numbers of codebooks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.codec.codec import Codec
from codax.data.sources import entries
from codax.errors import CodaxError
from codax.evaluation.codecs import find_models
from codax.evaluation.environment import versions
from codax.evaluation.probes import tasks
from codax.evaluation.probes.readout import Problem, Settings, cross_validated
from codax.evaluation.statistics import Interval, ratio_interval, wilson_interval
from codax.metrics import phones
from codax.runtime import tables
from codax.storage.files import write_together
from codax.tokens import pad

LONGEST = 10.0  # seconds of a clip that are used
_BATCH = 16  # clips that are encoded at once


@dataclasses.dataclass(frozen=True)
class Row:
    """Accuracy of one codec with its first `codebooks` codebooks, as a share, with a 95 % interval."""

    model: str
    codebooks: int
    kbps: float
    accuracy: Interval


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of a probe.

    Attributes:
      task, spec, seed: as given.
      clips, items, classes: number of clips, of labels that are read (clips, or frames with a phone), and of kinds.
      chance: share of the most frequent label.
      hours: of the audio that is used.
      rows: by model, then by number of codebooks.
    """

    task: str
    spec: str
    seed: int
    clips: int
    items: int
    classes: int
    chance: float
    hours: float
    rows: list[Row]


def measure(
    spec: str,
    task: str,
    models: Sequence[Any],
    *,
    codebooks: Sequence[int] | None = None,
    labels: str | None = None,
    limit: int | None = None,
    settings: Settings | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Results:
    """Trains and tests read-outs.

    Args:
      spec, task, labels, limit: see `codax.evaluation.probes.tasks.load`.
      models: as for `codax.evaluation.codecs.find_models`.
      codebooks: numbers of codebooks, of those that a model has; None = 1, 2, 4, ... and all.
      settings: of the read-out.
      progress: called after each model and number of codebooks.

    Raises:
      CodaxError: invalid input; see `tasks.load`.
    """
    settings = settings or Settings()
    loaded = find_models(list(models))
    numbers = [_numbers(model.codec, codebooks) for model in loaded]
    if not any(numbers):
        raise CodaxError("--codebooks: no model has one of these numbers")
    clips, folds = tasks.load(task, spec, labels, limit)
    kinds = sorted({name for clip in clips for name in tasks.names(clip)})
    rows, counts = [], np.zeros(0, int)
    for model, own in zip(loaded, numbers, strict=True):
        if not own:
            continue
        codes = pad(encoded(model.codec, clips, max(own)))
        targets = _targets(clips, kinds, codes.mask, model.codec.config.frame_rate)
        counts = np.bincount(targets[targets >= 0], minlength=len(kinds))
        for number in own:
            sizes = (model.codec.config.quantizer.codebook_size,) * number
            problem = Problem(codes.tokens[..., :number], codes.mask, targets, folds, len(kinds), sizes)
            accuracy = _accuracy(cross_validated(problem, settings), targets, settings.seed)
            rows.append(Row(model.name, number, model.codec.config.kbps(number), accuracy))
            progress()
    seconds = sum(min(clip.utterance.seconds, LONGEST) for clip in clips)
    items, chance = int(counts.sum()), float(counts.max() / counts.sum())
    return Results(task, spec, settings.seed, len(clips), items, len(kinds), chance, seconds / 3600, rows)


MOST_ROWS = 9  # of a codec with 255 codebooks: 1, 2, 4 and so on, and all


def count(models: int, codebooks: Sequence[int] | None) -> int:
    """An upper bound of the number of rows, for a progress bar."""
    return models * (len(codebooks) if codebooks else MOST_ROWS)


def _numbers(codec: Codec, codebooks: Sequence[int] | None) -> list[int]:
    most = codec.config.quantizer.num_quantizers
    if codebooks is None:
        return sorted({2**i for i in range(most.bit_length())} | {most})
    return sorted({number for number in codebooks if 1 <= number <= most})


def encoded(codec: Codec, clips: Sequence[tasks.Clip], levels: int) -> list[np.ndarray]:
    """Codes int32 [frames, levels] of the mean of the channels of each clip, at most `LONGEST` seconds."""
    rate, channels = codec.config.model.sample_rate, codec.config.model.audio_channels
    codes = [np.zeros((0, levels), np.int32)] * len(clips)
    order = sorted(range(len(clips)), key=lambda i: clips[i].utterance.seconds)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        audio = [entries.read_at(clips[i].utterance.entry, rate, 0, round(LONGEST * rate)) for i in rows]
        audio = [np.repeat(x.mean(axis=1, keepdims=True), channels, axis=1) for x in audio]
        parts = codec.encode(audio, sample_rate=rate, num_quantizers=levels).split()
        parts = [row for part in parts for row in part.codes]  # clips of one length are one part
        for i, part in zip(rows, parts, strict=True):
            codes[i] = part
    return codes


def _targets(clips: Sequence[tasks.Clip], kinds: list[str], mask: np.ndarray, frame_rate: float) -> np.ndarray:
    """Labels as numbers, int32 [clips], or [clips, frames]; -1 = none."""
    number: dict[str | None, int] = {kind: i for i, kind in enumerate(kinds)}
    if isinstance(clips[0].label, str):
        return np.asarray([number[name] for clip in clips for name in tasks.names(clip)], np.int32)
    targets = np.full(mask.shape, -1, np.int32)
    for row, clip, frames in zip(targets, clips, mask.sum(axis=1), strict=True):
        assert not isinstance(clip.label, str)
        row[:frames] = [number.get(name, -1) for name in phones.at_frames(clip.label, int(frames), frame_rate)]
    return targets


def _accuracy(predictions: np.ndarray, targets: np.ndarray, seed: int) -> Interval:
    hits = (predictions == targets) & (targets >= 0)
    if targets.ndim == 1:
        return wilson_interval(int(hits.sum()), len(hits))
    interval = ratio_interval(hits.sum(axis=1), (targets >= 0).sum(axis=1), seed=seed)
    if interval is None:
        raise CodaxError("--task phones: no frame has a phone")
    return interval


def caption(results: Results) -> str:
    """Returns the first line of the table."""
    frames = f", {results.items} frames" if results.items != results.clips else ""
    return (
        f"{results.task}: {results.clips} clips{frames}, {results.hours:.2f} h, {results.classes} labels, "
        f"chance {100 * results.chance:.1f} %"
    )


_HEADINGS = ("model", "codebooks", "kbps", "accuracy, %", "95 % interval")


def cells(results: Results) -> list[tuple[str, ...]]:
    """Returns the rows of the table."""
    return [
        (
            row.model,
            str(row.codebooks),
            f"{row.kbps:.2f}",
            f"{100 * row.accuracy.mean:.1f}",
            f"{100 * row.accuracy.low:.1f} to {100 * row.accuracy.high:.1f}",
        )
        for row in results.rows
    ]


def as_text(results: Results) -> str:
    """Returns the table for a terminal of 80 columns; names of models are cut to fit."""
    rows = [(row[0][:30], *row[1:]) for row in cells(results)]
    return "\n".join([caption(results), *tables.plain(_HEADINGS, rows)])


def as_markdown(results: Results) -> str:
    """Returns the table in Markdown."""
    head, *rows = [f"| {' | '.join(row)} |" for row in (_HEADINGS, *cells(results))]
    return "\n".join([caption(results), "", head, "|---" * len(_HEADINGS) + "|", *rows, ""])


def write(results: Results, folder: Path) -> None:
    """Writes probe.json and probe.md. Raises CodaxError."""
    content = {**dataclasses.asdict(results), "folds": tasks.FOLDS, "versions": versions()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_together(folder, {"probe.json": json.dumps(content, indent=2) + "\n", "probe.md": as_markdown(results)})
    except OSError as error:
        raise CodaxError(f"{folder}: cannot be written ({error.strerror or error})") from error
