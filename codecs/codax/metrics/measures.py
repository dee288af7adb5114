"""The description of a metric: the values that it reports, its computation and its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from codax.errors import Extra

SIGNALS = ("reference", "degraded", "rate")  # float [time, channels] twice, and the sample rate in Hz
TEXTS = ("transcript", "heard", "heard_original", "language")  # transcript (or None), and a recogniser's output
CODES = ("codes", "codebook_size", "frame_rate")  # int [streams, frames, quantizers] of a codec; frame rate in Hz


@dataclasses.dataclass(frozen=True)
class Value:
    """A reported number.

    Attributes:
      key: its name in results.
      label: its name in reports.
      better: "higher", "lower", or "" if neither is.
      definition: one or two sentences with all that a comparison with published figures needs.
      unit: "" for numbers without unit.
      digits: number of decimals shown.
      mapping: name of the mapping from ViSQOL's similarity to an opinion score, or "".
      floor: the value of a decoded signal that cannot be measured although the original can; None = that of silence.
    """

    key: str
    label: str
    better: str
    definition: str
    unit: str = ""
    digits: int = 2
    mapping: str = ""
    floor: float | None = None

    @property
    def sign(self) -> int:
        """1 if higher values are better, -1 if lower ones are, 0 if neither."""
        return {"higher": 1, "lower": -1}.get(self.better, 0)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A computation over one utterance; reports show means over utterances.

    Attributes:
      values: the values that it can report.
      compute: takes the inputs named in `needs`, in that order, and returns values by key. A measure that needs codes
        has no values for systems without codes.
      rate: sample rate of the signals that it takes, in Hz; None = their own.
      packages: import names, each with the extra that installs it.
      check: raises MetricError if something else is missing.
      needs: names in `SIGNALS`, `TEXTS` and `CODES`.
    """

    values: tuple[Value, ...]
    compute: Callable[..., dict[str, float]]
    rate: int | None = None
    packages: tuple[tuple[str, Extra], ...] = ()
    check: Callable[[], object] | None = None
    needs: tuple[str, ...] = SIGNALS


@dataclasses.dataclass(frozen=True)
class Pooled:
    """A computation over all utterances of a system together.

    Attributes:
      values: the values that it reports; they have no interval.
      statistics: takes a signal float [time, channels] and its sample rate in Hz, and returns an array. The arrays of
        all utterances are added up, so their size must not depend on the signal.
      compare: takes the sums of the originals and of a system's signals, and returns values by key.
      rate, packages, check: as in `Measure`.
    """

    values: tuple[Value, ...]
    statistics: Callable[[np.ndarray, int], np.ndarray]
    compare: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    rate: int | None = None
    packages: tuple[tuple[str, Extra], ...] = ()
    check: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """Key of its first value, which identifies it."""
        return self.values[0].key
