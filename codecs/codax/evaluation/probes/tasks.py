"""Tasks of `codax probe`: which label a clip, or each of its frames, has, and which clips test a read-out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codax.data.sources.spec import Utterance, evenly_spaced, open_source
from codax.data.splits import unit_hash
from codax.errors import CodaxError
from codax.metrics import phones
from codax.metrics.signals import MetricError

FOLDS = 5
_ALIGNED_RATE = phones.SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Clip:
    """An utterance and its label: a name, or the phones of its frames."""

    utterance: Utterance
    label: str | list[phones.Segment]


@dataclasses.dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
      need: what an utterance must have, for errors.
      label: returns the label of an utterance; None if it has none.
      unseen_speakers: whether the speakers of a fold are in no other, if they are known. If not, each label is in
        every fold.
    """

    need: str
    label: Callable[[Utterance], str | list[phones.Segment] | None]
    unseen_speakers: bool = True


def _words(utterance: Utterance) -> str | None:
    return " ".join((utterance.text or "").casefold().strip(" .,!?").split()) or None


def _speaker(utterance: Utterance) -> str | None:
    return utterance.entry.speaker or None


def _phones(labels: str | None) -> Task:
    source = phones.LabelFolder(labels) if labels else phones.Aligner()

    def label(utterance: Utterance) -> list[phones.Segment] | None:
        try:
            return source(utterance)
        except MetricError:
            return None  # no text, or a word that is not in the dictionary

    return Task("a text that can be aligned, or a label file", label)


TASKS: dict[str, Callable[[str | None], Task]] = {
    "words": lambda _: Task(f"a text that {FOLDS} utterances or more have", _words),
    "speaker": lambda _: Task(f"a speaker with {FOLDS} utterances or more", _speaker, unseen_speakers=False),
    "phones": _phones,
}


def load(name: str, spec: str, labels: str | None, limit: int | None) -> tuple[list[Clip], np.ndarray]:
    """Returns the clips of a task, ordered by id, and the fold int [clips] that tests each.

    Args:
      name: of the task.
      spec: of the source; all its splits are used.
      labels: folder of label files for phones; None = forced alignment.
      limit: of clips, evenly spaced; None = all.

    Raises:
      CodaxError: no such task or source, a package is missing, or there are fewer than two labels or `FOLDS` clips.
    """
    if name not in TASKS:
        raise CodaxError(f"--task: unknown task {name!r}: expected one of {', '.join(TASKS)}")
    if labels and name != "phones":
        raise CodaxError("--labels: only --task phones has label files")
    task = TASKS[name](labels)
    source = open_source(spec, sample_rate=_ALIGNED_RATE)
    entries = evenly_spaced(sorted(source, key=lambda entry: entry.id), limit)
    utterances = [Utterance.of(entry, _ALIGNED_RATE) for entry in entries]
    labelled = [(utterance, task.label(utterance)) for utterance in utterances]
    clips = _frequent([Clip(utterance, label) for utterance, label in labelled if label])
    kinds = len({name for clip in clips for name in names(clip)})
    if kinds < 2 or len(clips) < FOLDS:
        raise CodaxError(
            f"{spec}: --task {name}: {len(clips)} of {len(utterances)} utterances have {task.need}, with {kinds} labels"
        )
    return clips, _by_speaker(clips) if task.unseen_speakers else _by_label(clips)


def names(clip: Clip) -> list[str]:
    """Returns the labels of a clip."""
    return [clip.label] if isinstance(clip.label, str) else [segment.phone for segment in clip.label]


def _frequent(clips: list[Clip]) -> list[Clip]:
    """Drops clips whose label is in fewer clips than there are folds; phones are all kept."""
    counts = Counter(clip.label for clip in clips if isinstance(clip.label, str))
    return [clip for clip in clips if not isinstance(clip.label, str) or counts[clip.label] >= FOLDS]


def _by_speaker(clips: Sequence[Clip]) -> np.ndarray:
    """Folds of about equal numbers of clips, without common speakers if enough are known; if not, of utterances."""
    groups = [clip.utterance.entry.speaker or clip.utterance.id for clip in clips]
    if len(set(groups)) < 2 * FOLDS:
        groups = [clip.utterance.id for clip in clips]
    return _dealt(groups)


def _by_label(clips: Sequence[Clip]) -> np.ndarray:
    """Folds to which every label belongs."""
    folds = np.zeros(len(clips), np.int32)
    members: dict[Any, list[int]] = {}
    for i, clip in enumerate(clips):
        members.setdefault(clip.label, []).append(i)
    for number, rows in enumerate(members.values()):
        order = sorted(rows, key=lambda i: unit_hash(clips[i].utterance.id))
        folds[order] = (np.arange(len(order)) + number) % FOLDS
    return folds


def _dealt(groups: Sequence[str]) -> np.ndarray:
    """Deals groups to folds in the order of their hashes, each to the fold that has the fewest clips."""
    sizes, held, fold = Counter(groups), [0] * FOLDS, {}
    for group in sorted(sizes, key=lambda group: (unit_hash(group), group)):
        fold[group] = held.index(min(held))
        held[fold[group]] += sizes[group]
    return np.asarray([fold[group] for group in groups], np.int32)
