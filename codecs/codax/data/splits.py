"""Held-out examples, chosen by a fixed hash, so that the split does not depend on order, machine or time."""

from __future__ import annotations

from collections.abc import Sequence

from codax.storage.digests import sha256


def unit_hash(key: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the arguments only."""
    return int.from_bytes(sha256(f"{seed}:{key}").digest()[:8], "big") / 2**64


def split_of(key: str, *, validation: float, test: float = 0.0, seed: int = 0) -> str:
    """Returns "test", "validation" or "train", for the given fractions of keys."""
    value = unit_hash(key, seed)
    if value < test:
        return "test"
    return "validation" if value < test + validation else "train"


def hold_out(keys: Sequence[str], *, fraction: float, seed: int = 0) -> list[str]:
    """Assigns each key (for example a relative path) to "train" or "validation".

    Two keys or more always give at least one of each. With a single key, or a fraction of 0, everything is "train".
    """
    if fraction <= 0 or len(keys) < 2:
        return ["train"] * len(keys)
    splits = [split_of(key, validation=fraction, seed=seed) for key in keys]
    if len(set(splits)) < 2:
        order = sorted(range(len(keys)), key=lambda i: (unit_hash(keys[i], seed), keys[i]))
        if "validation" not in splits:
            splits[order[0]] = "validation"
        else:
            splits[order[-1]] = "train"
    return splits


def complete(stated: Sequence[str], keys: Sequence[str], *, fraction: float, seed: int = 0) -> list[str]:
    """Returns the stated splits, with those of `hold_out` in the place of empty ones."""
    held_out = iter(
        hold_out([key for name, key in zip(stated, keys, strict=True) if not name], fraction=fraction, seed=seed)
    )
    return [name or next(held_out) for name in stated]
