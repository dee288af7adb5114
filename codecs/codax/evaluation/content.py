"""What the first codebook of each system tells about the phones of the originals, over a whole corpus."""

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

_SIGMAS = 1.96  # of a 95 % interval


@dataclasses.dataclass
class _Coded:
    """What is kept of a system: codes and phones of each utterance, and the vectors of each phone."""

    codebook_size: int
    codes: list[np.ndarray] = dataclasses.field(default_factory=list)
    labels: list[list[str | None]] = dataclasses.field(default_factory=list)
    instances: list[Instance] = dataclasses.field(default_factory=list)


class ContentScorer:
    """Takes utterance after utterance: `start`, then `add` for every system.

    Systems of one series are one codec at several rates, whose first codebook is the same: it is taken once.

    Attributes:
      source: where phones come from, for people.
      error: why the utterance at hand has no phones; "" if it has.
    """

    def __init__(self, labels: phones.Labels, *, counts: bool = True, abx: bool = True) -> None:
        """Args: where phones come from; whether codes are counted, and whether ABX errors are wanted."""
        self._labels, self._counts, self._abx = labels, counts, abx
        self.source = labels.name
        self._segments: list[phones.Segment] = []
        self._speaker = ""
        self._series: dict[str, _Coded] = {}
        self._values: dict[str, dict[str, Interval | None]] = {}
        self._taken: set[str] = set()  # series that the utterance at hand has been taken of
        self.error = ""

    def start(self, utterance: Utterance) -> None:
        """The next original."""
        self._segments, self._speaker, self.error = [], utterance.entry.speaker, ""
        self._taken.clear()
        try:
            self._segments = self._labels(utterance)
        except CodaxError as error:
            self.error = str(error)

    def add(self, system: CodecSystem, codes: np.ndarray) -> None:
        """The codes [streams, frames, quantizers] of the utterance at hand; those of the first stream are taken."""
        if not self._segments or system.series in self._taken:
            return
        self._taken.add(system.series)
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
        """The registry's values of all systems of a series, with 95 % intervals over utterances.

        Those of PNMI, purity and ABX are the jackknife's: a bootstrap, which sees frames twice, would lie beside the
        value.
        """
        coded = self._series.get(series)
        if coded is None:
            return {}
        if series not in self._values:
            found = _counted(coded, seed) if self._counts else {}
            self._values[series] = found | (_compared(coded, seed) if self._abx else {})
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
    alike = Abx(coded.instances, seed=seed)
    anywhere = Abx([dataclasses.replace(instance, neighbours=None) for instance in coded.instances], seed=seed)
    found: dict[str, Interval | None] = {}
    for key, abx, across in (("abx", alike, False), ("abx_any", anywhere, False), ("abx_across", alike, True)):
        value = abx.error(across=across)
        found[key] = None
        if value is not None:
            left = [abx.error(across=across, without=number) for number in range(len(coded.codes))]
            found[key] = _jackknifed(value, [value if x is None else x for x in left]).scaled(100)
    return found


def _jackknifed(value: float, left: list[float]) -> Interval:
    """A value with its interval from the values without one utterance each."""
    error = content.jackknife_error(left)
    return Interval(value, value - _SIGMAS * error, value + _SIGMAS * error, len(left))
