"""The errors of a transcript, word by word, for display."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

_MOST = 60_000  # pairs of words that are compared, about 20 ms; longer texts are shown without marks


@dataclasses.dataclass(frozen=True)
class Word:
    """A step of the alignment: a word of the reference, a heard word, or both; they differ for a substitution."""

    reference: str
    heard: str

    @property
    def kind(self) -> str:
        """ "hit", "substitution", "deletion" or "insertion"."""
        if not self.reference:
            return "insertion"
        if not self.heard:
            return "deletion"
        return "hit" if _plain(self.reference) == _plain(self.heard) else "substitution"


def align(reference: str, heard: str) -> list[Word] | None:
    """The words of two texts with the fewest errors (Levenshtein); case and punctuation make no difference.

    Returns:
      The steps, with the words as they were written; None if the texts are too long.
    """
    spoken, heard_words = _words(reference), _words(heard)
    if len(spoken) * len(heard_words) > _MOST:
        return None
    costs = _costs([_plain(word) for word in spoken], [_plain(word) for word in heard_words])
    i, j, steps = len(spoken), len(heard_words), []
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (_plain(spoken[i - 1]) != _plain(heard_words[j - 1])):
            i, j = i - 1, j - 1
            steps.append(Word(spoken[i], heard_words[j]))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            steps.append(Word(spoken[i], ""))
        else:
            j -= 1
            steps.append(Word("", heard_words[j]))
    return steps[::-1]


def _costs(spoken: Sequence[str], heard_words: Sequence[str]) -> list[list[int]]:
    """The least number of errors of all pairs of beginnings."""
    costs = [list(range(len(heard_words) + 1))]
    for i, word in enumerate(spoken, 1):
        row = [i]
        for j, other in enumerate(heard_words, 1):
            row.append(min(costs[-1][j - 1] + (word != other), costs[-1][j] + 1, row[-1] + 1))
        costs.append(row)
    return costs


def _words(text: str) -> list[str]:
    """The parts between spaces that have a letter or digit."""
    return [part for part in text.split() if _plain(part)]


def _plain(word: str) -> str:
    return re.sub(r"[^\w]|_", "", word).casefold()
