"""Word and character error rates with pooled counts.

The rate of a corpus is (S + D + I) / N with the substitutions, deletions, insertions and reference words of all
utterances; it is not the mean of the utterances' rates. Both texts are normalised first: English by Whisper's English
normaliser (numbers to digits, British to American spelling, contractions, fillers removed), other languages by
Whisper's basic one, from the whisper-normalizer package.

An utterance whose normalised reference is empty adds nothing to N, and every word recognised in it is an insertion, so
that invented speech in silence is penalised. Its own rate is None. A corpus without reference words has no rate either.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

from codax.metrics.signals import optional

ENGLISH = "en"


@dataclasses.dataclass(frozen=True)
class ErrorCounts:
    """Alignment counts of one or more utterances, in words or characters."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    hits: int = 0

    @property
    def reference_length(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """(S + D + I) / N as a fraction, may exceed 1; None without reference."""
        return self.errors / self.reference_length if self.reference_length else None

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return ErrorCounts(*(a + b for a, b in pairs))


def normalize(text: str, language: str | None = ENGLISH) -> str:
    """Normalises text for scoring.

    Args:
      text: reference or transcript.
      language: two-letter code; None counts as English.

    Raises:
      MetricError: whisper-normalizer is not installed.
    """
    return _normalizer((language or ENGLISH) == ENGLISH)(text).strip()


def word_counts(reference: str, hypothesis: str, language: str | None = ENGLISH) -> ErrorCounts:
    """Normalises and aligns two texts by words.

    Raises:
      MetricError: jiwer or whisper-normalizer is not installed.
    """
    return _align("process_words", reference, hypothesis, language)


def character_counts(reference: str, hypothesis: str, language: str | None = ENGLISH) -> ErrorCounts:
    """As `word_counts`, over the characters of the normalised texts, spaces included."""
    return _align("process_characters", reference, hypothesis, language)


def pooled(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """Sum of counts over utterances."""
    return sum(counts, ErrorCounts())


def check_installed() -> None:
    """Raises `MetricError` if a package for scoring is missing, before hours of decoding."""
    optional("jiwer", "wer")
    _normalizer(True)


def _align(function: str, reference: str, hypothesis: str, language: str | None) -> ErrorCounts:
    jiwer = optional("jiwer", "wer")
    out = getattr(jiwer, function)(normalize(reference, language), normalize(hypothesis, language))
    return ErrorCounts(out.substitutions, out.deletions, out.insertions, out.hits)


@functools.cache
def _normalizer(english: bool) -> Callable[[str], str]:
    if english:
        return optional("whisper_normalizer.english", "wer").EnglishTextNormalizer()
    # Removing combining marks would change letters, and thereby words, in many languages.
    return optional("whisper_normalizer.basic", "wer").BasicTextNormalizer()
