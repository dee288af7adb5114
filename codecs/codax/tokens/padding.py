"""Batches of sequences of unequal lengths, padded at their ends, with masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from codax.errors import CodaxError
from codax.tokens.arrays import Array, checked, namespace

PAD = -1  # fills codes, which are never negative


class Padded(NamedTuple):
    """A padded batch.

    Attributes:
      tokens: integers [batch, longest, ...].
      mask: bool [batch, longest], true where a sequence has tokens.
    """

    tokens: np.ndarray
    mask: np.ndarray


def pad(sequences: Sequence[np.ndarray], *, value: int = PAD, multiple: int = 1) -> Padded:
    """Joins sequences [steps, ...] to one batch, filled at the ends.

    Args:
      sequences: integers, of any number of steps, also none; the other axes are equal.
      value: fills the ends.
      multiple: the length of the batch is a multiple of it, so that few shapes are compiled.

    Raises:
      CodaxError: no sequences, or their other axes or types differ.
    """
    arrays = [np.asarray(checked(x, 1, "[steps, ...]")) for x in sequences]
    if not arrays or len({(x.shape[1:], x.dtype) for x in arrays}) > 1:
        raise CodaxError("tokens: expected sequences [steps, ...] of one type, equal in all but their steps")
    lengths = np.asarray([len(x) for x in arrays])
    if arrays[0].dtype.kind == "u" and value < 0:
        raise CodaxError(f"tokens: {arrays[0].dtype} cannot hold the value {value}")
    longest = -(-int(lengths.max()) // multiple) * multiple
    out = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, x in zip(out, arrays, strict=True):
        row[: len(x)] = x
    return Padded(out, mask_of(lengths, longest))


def unpad(tokens: Array, mask: Array) -> list[np.ndarray]:
    """Inverts `pad`: returns the sequences [steps, ...] of a batch [batch, longest, ...]."""
    return [np.asarray(row)[: int(n)] for row, n in zip(tokens, np.asarray(mask).sum(1), strict=True)]


def mask_of(lengths: Array, longest: int) -> Array:
    """Returns the mask, bool [batch, longest], of sequences with these lengths, int [batch]."""
    lengths = checked(lengths, 1, "[batch]")
    return namespace(lengths).arange(longest) < lengths[..., None]
