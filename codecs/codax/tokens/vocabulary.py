"""One vocabulary for the special tokens and the codes of all levels."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from codax.errors import CodaxError
from codax.tokens.arrays import Array, check_levels, checked, namespace
from codax.tokens.padding import PAD


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Ids of special tokens, from 0, and of the codes of each level after them.

    Attributes:
      sizes: number of entries of each codebook.
      special: names of the special tokens; `pad`, `bos` and `eos` are needed by the methods that write them.
    """

    sizes: Sequence[int]
    special: tuple[str, ...] = ("pad", "bos", "eos")

    def __post_init__(self) -> None:
        """Raises CodaxError: there are no levels, a codebook has no entries, or two special tokens one name."""
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or min(self.sizes) < 1:
            raise CodaxError(f"vocabulary: codebook sizes {list(self.sizes)} are not positive")
        if len(set(self.special)) < len(self.special):
            raise CodaxError(f"vocabulary: special tokens {list(self.special)} have a name twice")

    def __len__(self) -> int:
        return len(self.special) + sum(self.sizes)

    def __getitem__(self, name: str) -> int:
        """Returns the id of a special token. Raises CodaxError."""
        if name not in self.special:
            raise CodaxError(f"vocabulary: has no special token {name!r}, only {', '.join(self.special)}")
        return self.special.index(name)

    @property
    def pad(self) -> int:
        return self["pad"]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Ids of the first entry of each codebook."""
        return tuple(itertools.accumulate(self.sizes[:-1], initial=len(self.special)))

    def encode(self, codes: Array) -> Array:
        """Adds each level's offset to codes [..., quantizers], int32; negative codes (`PAD`) become the id of `pad`.

        Codes of fewer levels than the vocabulary's are those of its first ones.
        """
        codes, offsets = self._levels(codes)
        xp = namespace(codes)
        return xp.where(
            codes < 0, xp.asarray(self.pad if "pad" in self.special else PAD, dtype=xp.int32), codes + offsets
        )

    def decode(self, ids: Array) -> Array:
        """Inverts `encode`: codes int32 [..., quantizers]; special tokens become `PAD`, and so does every id that is
        no code of its level, as a model may predict it."""
        ids, offsets = self._levels(ids)
        xp = namespace(ids)
        codes = ids - offsets
        valid = (codes >= 0) & (codes < xp.asarray(self.sizes[: codes.shape[-1]], dtype=xp.int32))
        return xp.where(valid, codes, xp.asarray(PAD, dtype=xp.int32))

    def add_ends(self, tokens: Array) -> Array:
        """Puts `bos` before sequences of ids [..., steps] and `eos` after their last token: [..., steps + 2].

        The sequences may be padded at their ends, with the id of `pad`.
        """
        tokens = checked(tokens, 1, "[..., steps]")
        xp = namespace(tokens)

        def column(name: str) -> Array:
            return xp.full((*tokens.shape[:-1], 1), self[name], dtype=tokens.dtype)

        longer = xp.concat([column("bos"), tokens, column("pad")], axis=-1)
        steps = xp.sum(longer != self.pad, axis=-1)
        eos = xp.arange(longer.shape[-1]) == steps[..., None]
        return xp.where(eos, xp.asarray(self["eos"], dtype=tokens.dtype), longer)

    def remove_ends(self, tokens: Array) -> Array:
        """Inverts `add_ends`: [..., steps + 2] -> [..., steps]."""
        tokens = checked(tokens, 1, "[..., steps]")
        xp, inner = namespace(tokens), tokens[..., 1:]
        inner = xp.where(inner == self["eos"], xp.asarray(self.pad, dtype=tokens.dtype), inner)
        return inner[..., :-1]

    def _levels(self, array: Array) -> tuple[Array, Array]:
        """Array as int32, and the offsets of its levels [quantizers]."""
        array = checked(array, 1, "[..., quantizers]")
        levels = array.shape[-1]
        if levels > len(self.sizes):
            check_levels(array, len(self.sizes))
        xp = namespace(array)
        return xp.astype(array, xp.int32), xp.asarray(self.offsets[:levels], dtype=xp.int32)
