"""Error rates of a speech recogniser on the original and on a system's output."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from codax.audio import resample
from codax.metrics import recognizers, wer
from codax.metrics.recognizers import Recognizer
from codax.metrics.signals import MetricError, mono
from codax.metrics.wer import ErrorCounts


class TextScorer:
    """Transcribes utterances one by one: call `start` with the original, then `hear` with every system's signal."""

    def __init__(self, recognizer: Recognizer):
        self._recognizer = recognizer
        self._language, self._text, self._heard = wer.ENGLISH, None, ""

    @property
    def name(self) -> str:
        return self._recognizer.name

    def start(self, original: np.ndarray, sample_rate: int, text: str | None, language: str | None) -> None:
        """Starts an utterance.

        Args:
          original: float32 [time, channels].
          sample_rate: Hz.
          text: transcript; None = differential rates only.
          language: two-letter code; None counts as English.

        Raises:
          MetricError: the recogniser does not support the language.
        """
        self._language, self._text = language or wer.ENGLISH, text
        known = self._recognizer.languages
        if known is not None and self._language not in known:
            raise MetricError(
                f"the recogniser {self._recognizer.name} does not support the language {self._language!r}"
            )
        self._heard = self.hear(original, sample_rate)

    def hear(self, audio: np.ndarray, sample_rate: int) -> str:
        """The transcript of float32 [time, channels], a system's version of the utterance."""
        return self._recognizer.transcribe(resample(mono(audio), sample_rate, recognizers.SAMPLE_RATE), self._language)

    def inputs(self, heard: str) -> dict[str, str | None]:
        """The inputs of measures (`measures.TEXTS`)."""
        return {
            "transcript": self._text,
            "heard": heard,
            "heard_original": self._heard,
            "language": self._language,
        }

    def counts(self, heard: str, keys: Collection[str]) -> dict[str, ErrorCounts]:
        """Error counts by key of the registry, for the keys in `keys` with a reference."""
        counts = {}
        for prefix, reference in (("d", self._heard), ("", self._text)):
            for name, count in (("wer", wer.word_counts), ("cer", wer.character_counts)):
                if reference is not None and prefix + name in keys:
                    counts[prefix + name] = count(reference, heard, self._language)
        return counts
