"""What the first codebook of each system tells about the phones of the originals, over a whole corpus."""

from __future__ import annotations

import numpy as np

from codax.errors import CodaxError
from codax.evaluation.statistics import Interval, ratio_interval
from codax.evaluation.systems import CodecSystem
from codax.metrics import content, phones

_SIGMAS = 1.96  # of a 95 % interval


class PhoneScorer:
    """Takes utterance after utterance: `start`, then `add` for every system.

    Attributes:
      error: why the utterance at hand has no phones; "" if it has.
    """

    def __init__(self) -> None:
        self._aligner = phones.Aligner()
        self._labels: np.ndarray | None = None
        self._counts: dict[str, list[np.ndarray]] = {}
        self.error = ""

    def start(self, audio: np.ndarray, rate: int, text: str | None) -> None:
        """The next original, float [time, channels], and what is said in it."""
        self._labels, self.error = None, ""
        try:
            if not text:
                raise CodaxError("no transcript")
            self._labels = self._aligner(audio, rate, text)
        except CodaxError as error:
            self.error = str(error)

    def add(self, system: CodecSystem, codes: np.ndarray) -> None:
        """The codes [streams, frames, quantizers] of the utterance at hand; those of the first stream are taken."""
        if self._labels is None:
            return
        labels = phones.at_frames(self._labels, codes.shape[1], system.frame_rate)
        joint = content.joint_counts(codes[0, :, 0], labels, system.codebook_size, len(phones.PHONES))
        self._counts.setdefault(system.key, []).append(joint.astype(np.int32))

    def values(self, key: str, *, seed: int) -> dict[str, Interval | None]:
        """The registry's values of a system, with 95 % intervals over utterances.

        Those of PNMI and purity are the jackknife's: a bootstrap, which sees frames twice, would lie above the value.
        """
        counts = np.asarray(self._counts.get(key, []))
        if not len(counts) or not counts.any():
            return {}
        hits, frames = content.left_out_hits(counts)
        accuracy = ratio_interval(hits, frames, seed=seed)
        found: dict[str, Interval | None] = {"phone_accuracy": None if accuracy is None else accuracy.scaled(100)}
        for name, statistic in (("pnmi", content.phone_information), ("phone_purity", content.phone_purity)):
            value, error = content.jackknife(counts, statistic)
            interval = Interval(value, value - _SIGMAS * error, value + _SIGMAS * error, len(counts))
            found[name] = interval if name == "pnmi" else interval.scaled(100)
        return found
