"""Finds the model that a container was encoded with: by the hash of its weights, wherever it is now."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.codec import shipped
from codax.containers.container import Meta, stored_name
from codax.errors import CodaxError
from codax.storage.files import cache_folder, write_whole


def load_model(model: str, beam: int | None = None) -> Any:
    """Loads a model folder or a model that ships in the package: a `codax.Codec`; `beam` as in `codax.load`.

    Raises:
      CodaxError: there is none, or it cannot be read.
    """
    import codax

    return codax.load(model, beam=beam)


def load_for(meta: Meta, source: str | os.PathLike[str], model: str | None) -> Any:
    """The model that wrote a container.

    Args:
      meta: the container's description.
      source: the container's name, for messages.
      model: what the user asks for; None looks in the places of `candidates`.

    Raises:
      CodaxError: `model` is another model, or no folder that is known holds the one that is needed.
    """
    wanted = f"model {meta.model_id} with weights {meta.model_hash.hex()}"
    if model is not None:
        codec = load_model(model)
        if codec.hash != meta.model_hash:
            raise CodaxError(
                f"{source}: encoded with {wanted}, but --model {model} is {codec.model_id} with weights "
                f"{codec.hash.hex()}"
            )
        return codec
    found = []
    for folder in candidates(meta):
        try:
            codec = load_model(str(folder))
        except CodaxError as error:
            found.append(str(error))
            continue
        if codec.hash == meta.model_hash:
            return codec
        found.append(f"{folder} has weights {codec.hash.hex()}")
    tried = f" ({'; '.join(found)})" if found else ""
    raise CodaxError(
        f"{source}: encoded with {wanted}, which is not found{tried}: give its folder with --model or in CODAX_MODELS"
    )


def candidates(meta: Meta) -> Iterator[Path]:
    """Folders that may hold the model of a container, likeliest first.

    They are: where the model was when this user last encoded with it; the package's own models; the folders of
    $CODAX_MODELS (separated as in $PATH), each a model or a folder of models. Of the last two, those that have the same
    name in their config.json.
    """
    seen = set()
    named = (folder for folder in _searched() if stored_name(_name(folder), meta.scaled) == meta.model_id)
    for folder in _remembered(meta.model_hash), *named:
        if folder is not None and folder not in seen:
            seen.add(folder)
            yield folder


def remember(codec: Any) -> None:
    """Notes where a model is, so that files encoded with it can be decoded without `--model`. Never fails."""
    if codec.path is None:
        return
    note = {"name": codec.model_id, "path": str(Path(codec.path).resolve())}
    target = _note(codec.hash)
    with contextlib.suppress(OSError):  # a convenience; --model always works
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, json.dumps(note))


def _note(digest: bytes) -> Path:
    return cache_folder() / "models" / f"{digest.hex()}.json"


def _remembered(digest: bytes) -> Path | None:
    try:
        return Path(json.loads(_note(digest).read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no note, or a damaged one


def _searched() -> Iterator[Path]:
    places = [shipped.FOLDER]
    places += [Path(p).expanduser() for p in os.environ.get("CODAX_MODELS", "").split(os.pathsep) if p]
    for place in places:
        if (place / "config.json").is_file():
            yield place
        elif place.is_dir():
            yield from sorted(f.parent for f in place.glob("*/config.json"))


def _name(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("name", ""))
    except (OSError, ValueError, AttributeError):
        return ""
