"""Acoustic BPE: byte-pair encoding of the codes of one codebook (arXiv 2310.14580), through Hugging Face `tokenizers`.

A token is a code or a sequence of codes that is frequent, so that a language model has fewer steps. Codes of the other
codebooks keep their frames.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from codax.errors import CodaxError, install
from codax.storage import strict_json
from codax.storage.files import write_whole
from codax.tokens.arrays import checked

# Each code is a character of Unicode's private plane, which no tokeniser treats in a special way.
_FIRST = 0xF0000
_MOST = 0xFFFE  # characters of the plane
_WHERE = "tokens.bpe"


class AcousticBPE:
    """A trained vocabulary: its first `codebook_size` tokens are the codes themselves.

    Attributes:
      codebook_size: entries of the codebook.
    """

    def __init__(self, tokenizer: Any, codebook_size: int) -> None:
        """Wraps a `tokenizers.Tokenizer`; use `train` or `load`."""
        self._tokenizer, self.codebook_size = tokenizer, codebook_size
        self._parts = [
            np.asarray([ord(c) - _FIRST for c in tokenizer.id_to_token(i)], np.int32) for i in range(len(self))
        ]

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    @staticmethod
    def train(sequences: Iterable[np.ndarray], codebook_size: int, vocabulary: int) -> AcousticBPE:
        """Learns the most frequent sequences of codes; equal data gives an equal vocabulary.

        Args:
          sequences: codes int [frames] of one codebook, of each clip.
          codebook_size: its entries.
          vocabulary: number of tokens; smaller, if the data has too few pairs that occur twice.

        Raises:
          CodaxError: the vocabulary is smaller than the codebook, codes are invalid, or `tokenizers` is missing.
        """
        package = _package()
        if not 1 <= codebook_size <= _MOST:
            raise CodaxError(f"{_WHERE}: a codebook of {codebook_size} entries: expected 1 to {_MOST}")
        if vocabulary < codebook_size:
            raise CodaxError(
                f"{_WHERE}: {vocabulary} tokens are fewer than the {codebook_size} entries of the codebook"
            )
        tokenizer = package.Tokenizer(package.models.BPE())
        trainer = package.trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            show_progress=False,
            initial_alphabet=[chr(_FIRST + code) for code in range(codebook_size)],
        )
        tokenizer.train_from_iterator((_text(codes, codebook_size) for codes in sequences), trainer)
        return AcousticBPE(tokenizer, codebook_size)

    def encode(self, codes: np.ndarray) -> np.ndarray:
        """Maps codes int [frames] to tokens int32 [tokens]. Raises CodaxError if they are not of the codebook."""
        return np.asarray(self._tokenizer.encode(_text(codes, self.codebook_size)).ids, np.int32)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Inverts `encode`: int [tokens] to int32 [frames]. Raises CodaxError for tokens outside of the vocabulary."""
        array = _checked(tokens, len(self))
        return np.concatenate([np.zeros(0, np.int32), *(self._parts[i] for i in array)])

    def lengths(self, tokens: np.ndarray) -> np.ndarray:
        """Number of frames of each token, int32, which aligns the tokens in time."""
        return np.asarray([len(self._parts[i]) for i in _checked(tokens, len(self))], np.int32)

    def save(self, path: str | Path) -> None:
        """Writes a file that `load` and `tokenizers.Tokenizer.from_file` read. Raises CodaxError."""
        try:
            write_whole(Path(path), self._tokenizer.to_str())
        except OSError as error:
            raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error

    @staticmethod
    def load(path: str | Path) -> AcousticBPE:
        """Reads a vocabulary.

        Raises:
          CodaxError: unreadable, not made by `save`, or `tokenizers` is missing.
        """
        package, content = _package(), strict_json.read_object(path, "acoustic BPE")
        steps = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
        model = content.pop("model", None)
        model = model if isinstance(model, dict) else {}
        vocabulary, merges = model.pop("vocab", None), model.pop("merges", None)
        others = [content.get(name) for name in (*steps, "added_tokens")]
        # Any other step or option would change codes.
        if not isinstance(vocabulary, dict) or model.pop("type", "") != "BPE" or any([*others, *model.values()]):
            raise CodaxError(f"{path}: not an acoustic BPE of codax")
        size = sum(len(token) == 1 for token in vocabulary)
        codes = {chr(_FIRST + code) for code in range(min(size, _MOST))}
        if (
            any(vocabulary.get(c) != ord(c) - _FIRST for c in codes)
            or not all(codes.issuperset(t) and t for t in vocabulary)
            or {*map(str, vocabulary.values())} != {*map(str, range(len(vocabulary)))}
            or not _are_merges(merges, vocabulary)
        ):
            raise CodaxError(f"{path}: not a vocabulary of codes")
        plain = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}
        try:
            return AcousticBPE(package.Tokenizer.from_str(json.dumps(plain)), size)
        except Exception as error:  # the package raises plain exceptions
            raise CodaxError(f"{path}: not an acoustic BPE of codax ({' '.join(str(error).split())[:80]})") from error


def rates(bpe: AcousticBPE, sequences: Iterable[np.ndarray], frame_rate: float) -> tuple[float, float]:
    """Tokens per second of sequences of codes before and after BPE: the frame rate, and a mean over all frames.

    Args:
      bpe: the vocabulary.
      sequences: codes int [frames] of each clip.
      frame_rate: frames per second.
    """
    counts = [(len(codes), len(bpe.encode(codes))) for codes in sequences]
    frames, tokens = sum(n for n, _ in counts), sum(n for _, n in counts)
    return frame_rate, frame_rate * tokens / max(frames, 1)


def _are_merges(merges: Any, vocabulary: dict[str, Any]) -> bool:
    """Whether merges join two tokens to a third; the package does not check it."""

    def joins(merge: Any) -> bool:
        if not isinstance(merge, list) or len(merge) != 2 or not all(isinstance(part, str) for part in merge):
            return False
        return all(token in vocabulary for token in (*merge, "".join(merge)))

    return isinstance(merges, list) and all(map(joins, merges))


def _text(codes: np.ndarray, size: int) -> str:
    return "".join(chr(_FIRST + code) for code in _checked(codes, size))


def _checked(values: np.ndarray, size: int) -> list[int]:
    array = np.asarray(checked(values, 1, "[steps]"))
    if array.ndim != 1 or (array.size and not 0 <= array.min() <= array.max() < size):
        raise CodaxError(f"{_WHERE}: expected integers [steps] from 0 to {size - 1}, got {list(array.shape)}")
    return array.tolist()


def _package() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise CodaxError(f"{_WHERE}: needs the package tokenizers: {install('bpe')}") from error
    return tokenizers
