"""Error rates of a recogniser on the original and on what a system made of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.audio import resample
from codax.metrics import recognizers, wer
from codax.metrics.recognizers import Recognizer
from codax.metrics.signals import MetricError, mono
from codax.metrics.wer import ErrorCounts


@dataclasses.dataclass(frozen=True)
class TextScore:
    """What was heard in one signal, and the counts against each reference that there is (keys of the registry)."""

    heard: str
    counts: dict[str, ErrorCounts]


class TextScorer:
    """Scores one utterance after the other: call `start` with the original, then `score` with every system's signal."""

    def __init__(self, recognizer: Recognizer):
        self._recognizer = recognizer
        self._language, self._text, self._heard = wer.ENGLISH, None, ""

    @property
    def name(self) -> str:
        return self._recognizer.name

    def start(self, original: np.ndarray, sample_rate: int, text: str | None, language: str | None) -> None:
        """Takes a new utterance.

        Args:
          original: float32 [time, channels].
          sample_rate: Hz.
          text: transcript; None = only the differential rates.
          language: two-letter code; None counts as English.

        Raises:
          MetricError: the recogniser does not know the language.
        """
        self._language, self._text = language or wer.ENGLISH, text
        known = self._recognizer.languages
        if known is not None and self._language not in known:
            raise MetricError(f"the recogniser {self._recognizer.name} does not know the language {self._language!r}")
        self._heard = self._hear(original, sample_rate)

    def score(self, audio: np.ndarray, sample_rate: int) -> TextScore:
        """Scores float32 [time, channels], any system's version of the utterance."""
        heard = self._hear(audio, sample_rate)
        counts = {
            "dwer": wer.word_counts(self._heard, heard, self._language),
            "dcer": wer.character_counts(self._heard, heard, self._language),
        }
        if self._text is not None:
            counts["wer"] = wer.word_counts(self._text, heard, self._language)
            counts["cer"] = wer.character_counts(self._text, heard, self._language)
        return TextScore(heard, counts)

    def _hear(self, audio: np.ndarray, sample_rate: int) -> str:
        return self._recognizer.transcribe(resample(mono(audio), sample_rate, recognizers.SAMPLE_RATE), self._language)
