"""Loads models for commands, which cache compiled programs between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codax.codec.codec import Codec


def load_model(model: str, beam: int | None = None) -> Codec:
    """Loads a model folder or a shipped model by name; `beam` and errors as of `codax.load`."""
    import codax

    return codax.load(model, beam=beam)
