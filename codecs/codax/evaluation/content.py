"""Phonetic information in the first codebook of each system, over a whole corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from codax.data.sources.spec import Utterance
from codax.errors import CodaxError
from codax.evaluation.statistics import Interval, ratio_interval
from codax.evaluation.systems import CodecSystem
from codax.metrics import content, phones
from codax.metrics.abx import Abx, Instance

_SIGMAS = 1.96  # half width of a 95 % interval


@dataclasses.dataclass
class _Coded:
    """Data of a system: codes and phones of each utterance, and the features of each phone."""

    codebook_size: int
    codes: list[np.ndarray] = dataclasses.field(default_factory=list)
    labels: list[list[str | None]] = dataclasses.field(default_factory=list)
    instances: list[Instance] = dataclasses.field(default_factory=list)


class ContentScorer:
    """Collects codes, utterance by utterance: call `start`, then `add` for every system.

    Systems of one series are one codec at several rates with the same first codebook, so only one of them is used.

    Attributes:
      source: description of the phone labels.
      error: why the current utterance has no phones; "" if it has.
    """

    def __init__(self, labels: phones.Labels, *, counts: bool = True, abx: bool = True) -> None:
        """Args: source of phone labels; whether to compute statistics of codes, and ABX errors."""
        self._labels, self._counts, self._abx = labels, counts, abx
        self.source = labels.name
        self._segments: list[phones.Segment] = []
        self._speaker = ""
        self._series: dict[str, _Coded] = {}
        self._values: dict[str, dict[str, Interval | None]] = {}
        self._done: set[str] = set()  # series already added for the current utterance
        self._utterances = 0
        self.error = ""

    def start(self, utterance: Utterance) -> None:
        """Starts the next utterance."""
        self._segments, self._speaker, self.error = [], utterance.entry.speaker, ""
        self._done.clear()
        self._utterances += 1
        try:
            self._segments = self._labels(utterance)
        except CodaxError as error:
            self.error = str(error)

    def add(self, system: CodecSystem, codes: np.ndarray) -> None:
        """Adds the codes [streams, frames, quantizers] of the current utterance; only the first stream is used."""
        if not self._segments or system.series in self._done:
            return
        self._done.add(system.series)
        coded = self._series.setdefault(system.series, _Coded(system.codebook_size))
        number, frames = len(coded.codes), codes.shape[1]
        coded.codes.append(codes[0, :, 0])
        coded.labels.append(phones.at_frames(self._segments, frames, system.frame_rate))
        if not self._abx:
            return
        vectors = system.first_vectors(codes[:1])[0]
        names = ["", *(segment.phone for segment in self._segments), ""]
        for i, segment in enumerate(self._segments):
            first, end = phones.span(segment, frames, system.frame_rate)
            if segment.phone != phones.SILENCE and end > first:
                neighbours = (names[i], names[i + 2])
                coded.instances.append(Instance(segment.phone, neighbours, self._speaker, number, vectors[first:end]))

    def values(self, series: str, *, seed: int) -> dict[str, Interval | None]:
        """Values of the registry for a series of systems, with 95 % intervals over utterances.

        The intervals of PNMI, purity and ABX are jackknife intervals: bootstrap samples repeat frames, which biases
        these statistics.
        """
        coded = self._series.get(series)
        if coded is None:
            return {}
        if series not in self._values:
            values = _counted(coded, seed) if self._counts else {}
            values |= _compared(coded, seed) if self._abx else {}
            of = self._utterances
            self._values[series] = {key: v and dataclasses.replace(v, of=of) for key, v in values.items()}
        return self._values[series]


def _counted(coded: _Coded, seed: int) -> dict[str, Interval | None]:
    kinds = sorted({label for labels in coded.labels for label in labels if label is not None})
    number: dict[str | None, int] = {kind: i for i, kind in enumerate(kinds)}
    counts = np.asarray(
        [
            content.joint_counts(
                codes, np.asarray([number.get(label, -1) for label in labels], int), coded.codebook_size, len(kinds)
            ).astype(np.int32)
            for codes, labels in zip(coded.codes, coded.labels, strict=True)
        ]
    )
    if not counts.any():
        return {}
    hits, frames = content.left_out_hits(counts)
    accuracy = ratio_interval(hits, frames, seed=seed)
    total = counts.sum(axis=0)

    def spread(statistic: Callable[[np.ndarray], float]) -> Interval:
        return _jackknifed(statistic(total), [statistic(total - own) for own in counts])

    return {
        "pnmi": spread(content.phone_information),
        "phone_purity": spread(content.phone_purity).scaled(100),
        "phone_accuracy": None if accuracy is None else accuracy.scaled(100),
    }


def _compared(coded: _Coded, seed: int) -> dict[str, Interval | None]:
    context = Abx(coded.instances, seed=seed)
    anywhere = Abx([dataclasses.replace(instance, neighbours=None) for instance in coded.instances], seed=seed)
    values: dict[str, Interval | None] = {}
    for key, abx, across in (
        ("abx", context, False),
        ("abx_any", anywhere, False),
        ("abx_across", context, True),
    ):
        value = abx.error(across=across)
        values[key] = None
        if value is not None:
            without = [abx.error(across=across, without=number) for number in range(len(coded.codes))]
            values[key] = _jackknifed(value, [value if x is None else x for x in without]).scaled(100)
    return values


def _jackknifed(value: float, without: list[float]) -> Interval:
    """A value with its jackknife interval, from the values without one utterance each."""
    error = content.jackknife_error(without)
    return Interval(value, value - _SIGMAS * error, value + _SIGMAS * error, len(without))
