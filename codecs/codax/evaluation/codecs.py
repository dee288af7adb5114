"""Loads the models of an evaluation: codax's own and those of other projects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import codax
from codax.errors import CodaxError


@dataclasses.dataclass(frozen=True)
class Model:
    """A model to evaluate.

    Attributes:
      name: in results: its own, or one given by the user.
      codec: a `codax.Codec`.
      path: where it was loaded from, if it was.
    """

    name: str
    codec: Any
    path: str | None = None


def find_models(models: Any) -> list[Model]:
    """Loads models.

    Args:
      models: one or a list of: what `codax.load` takes, or "NAME=MODEL" to rename it; a loaded `codax.Codec`, or a
        `Model`. None = none.

    Raises:
      CodaxError: one cannot be read, or two have the same name.
    """
    if models is None:
        return []
    items: Sequence[Any] = models if isinstance(models, list | tuple) else [models]
    loaded = [_find(item) for item in items]
    names = [model.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise CodaxError(f"two models are called {name}: name them, as in first=DIR,second=DIR")
    return loaded


def _find(item: Any) -> Model:
    if isinstance(item, Model):
        return item
    if not isinstance(item, str | Path):
        return Model(item.model_id, item)
    name, path = split_name(str(item))
    codec = codax.load(path)
    return Model(name or codec.model_id, codec, path)


def split_name(spec: str) -> tuple[str, str]:
    """The parts of "NAME=PATH"; the name of a bare PATH is ""."""
    name, _, path = spec.partition("=")
    return ("", spec) if not path or "/" in name else (name, path)


def describe(model: Model) -> dict[str, Any]:
    """The description of a model in results."""
    codec = model.codec
    described: dict[str, Any] = {"name": model.name, "hash": codec.hash.hex()}
    if model.path:
        described["path"] = model.path
    if dataclasses.is_dataclass(codec.config) and not isinstance(codec.config, type):
        described["config"] = dataclasses.asdict(codec.config)
    return described
