"""Values of whole systems: sums of statistics over the utterances, compared with those of the originals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from codax.evaluation.measuring import Measured
from codax.evaluation.statistics import Interval
from codax.metrics.measures import Pooled
from codax.runtime import messages


@dataclasses.dataclass
class _Sums:
    original: np.ndarray
    decoded: np.ndarray
    utterances: int = 1


class Pool:
    """Adds up the statistics of measurements: call `add` for every utterance, then `values` for every system."""

    def __init__(self, measures: Sequence[Pooled]) -> None:
        self._measures = measures
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._utterances = 0

    def add(self, measured: Measured) -> None:
        """Adds an utterance. An original counts for a system only if its decoded signal has statistics too."""
        self._utterances += 1
        for measure in self._measures:
            original = measured.sums.get((measured.rows[0].system, measure.name))
            for row in measured.rows:
                decoded = measured.sums.get((row.system, measure.name))
                if original is None or decoded is None:
                    continue
                key = row.system, measure.name
                if key in self._sums:
                    sums = self._sums[key]
                    sums.original, sums.decoded = sums.original + original, sums.decoded + decoded
                    sums.utterances += 1
                else:
                    self._sums[key] = _Sums(original, decoded)

    def values(self, system: str) -> dict[str, Interval | None]:
        """The values of a system by key, without intervals; none for a system without statistics."""
        values: dict[str, Interval | None] = {}
        for measure in self._measures:
            if (sums := self._sums.get((system, measure.name))) is None:
                continue
            try:
                compared = measure.compare(sums.original, sums.decoded)
            except Exception as error:  # of any package; the measurements of a whole evaluation are kept
                messages.warn(f"{measure.name}: has no value for {system} ({' '.join(str(error).split())[:200]})")
                continue
            for key, value in compared.items():
                if math.isfinite(number := float(value)):
                    values[key] = Interval(number, number, number, sums.utterances, self._utterances)
        return values
