"""Finds the model that made a container or a token data set, by the hash of its weights: on this machine alone."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from codax.codec import shipped
from codax.containers.container import Meta, stored_name
from codax.errors import CodaxError
from codax.storage import strict_json
from codax.storage.files import cache_folder, write_whole

if TYPE_CHECKING:
    from codax.codec.codec import Codec

Load = Callable[[str], "Codec"]  # takes a folder or a name, as `codax.load`


def find(meta: Meta, source: str | os.PathLike[str], model: Codec | str | os.PathLike[str] | None, load: Load) -> Codec:
    """Returns the model that wrote a container.

    Args:
      meta: the container's description.
      source: the container's name, for messages.
      model: the user's choice; None tries the folders of `candidates`.
      load: loads a folder.

    Raises:
      CodaxError: `model` is another model, or no candidate is the right one.
    """
    expected = f"model {meta.model_id} with weights {meta.model_hash.hex()}"
    if model is not None:
        is_name = isinstance(model, str | os.PathLike)
        codec = load(os.fspath(model)) if is_name else model
        if not decodes(codec, meta):
            actual = f"{os.fspath(model)} is " if is_name else "the model given is "
            raise CodaxError(
                f"{source}: encoded with {expected}, but {actual}{codec.model_id} with weights {codec.hash.hex()}"
            )
        return codec
    codec, messages = search(candidates(meta), lambda codec: decodes(codec, meta), load)
    if codec is not None:
        return codec
    tried = f" ({'; '.join(messages)})" if messages else ""
    raise CodaxError(
        f"{source}: encoded with {expected}, which is not found{tried}: give its folder (--model, CODAX_MODELS)"
    )


def search(folders: Iterable[Path], fits: Callable[[Codec], bool], load: Load) -> tuple[Codec | None, list[str]]:
    """Returns the first model that fits, or None; and for every folder before it why it is another."""
    messages = []
    for folder in folders:
        try:
            codec = load(str(folder))
        except CodaxError as error:
            messages.append(str(error))
            continue
        if fits(codec):
            return codec, messages
        messages.append(f"{folder} has weights {codec.hash.hex()}")
    return None, messages


def decodes(codec: Codec, meta: Meta) -> bool:
    """Whether a model decodes a container: it wrote it, or has the same encoder and codebooks as the model that did."""
    return meta.model_hash in (codec.hash, *map(bytes.fromhex, codec.config.codes_of))


def candidates(meta: Meta) -> Iterator[Path]:
    """Yields folders that may hold the model of a container, likeliest first."""
    return known(meta.model_hash, lambda name: stored_name(name, meta.scaled) == meta.model_id)


def known(digest: bytes, has_name: Callable[[str], bool]) -> Iterator[Path]:
    """Yields folders that may hold the model whose weights have a hash, likeliest first.

    The first is the folder of the model when this user last encoded with it. The package's own models follow, then the
    folders of $CODAX_MODELS (separated as in $PATH), each a model or a folder of models; only those for whose name in
    config.json `has_name` is true.
    """
    seen = set()
    named = (folder for folder in _searched() if has_name(_name(folder)))
    for folder in _remembered(digest), *named:
        if folder is not None and folder not in seen:
            seen.add(folder)
            yield folder


def remember(codec: Codec) -> None:
    """Stores the folder of a model, so that what it encoded can be decoded without naming it. Never fails."""
    if codec.path is None:
        return
    note = {"name": codec.model_id, "path": str(Path(codec.path).resolve())}
    with contextlib.suppress(OSError, CodaxError):  # a convenience; --model always works
        target = _note(codec.hash)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, json.dumps(note))


def _note(digest: bytes) -> Path:
    return cache_folder() / "models" / f"{digest.hex()}.json"


def _remembered(digest: bytes) -> Path | None:
    try:
        return Path(strict_json.read(_note(digest), "note")["path"])
    except (CodaxError, KeyError, TypeError):
        return None  # no note, or a damaged one


def _searched() -> Iterator[Path]:
    """Yields the folders of models; of `os.path` and `glob`, which pass over places that cannot be read."""
    named = os.environ.get("CODAX_MODELS", "").split(os.pathsep)
    for place in shipped.FOLDER, *(os.path.expanduser(name) for name in named if name):
        if os.path.isfile(os.path.join(place, "config.json")):
            yield Path(place)
        else:
            configs = glob.glob("*/config.json", root_dir=place, include_hidden=True)
            yield from sorted(Path(place, config).parent for config in configs)


def _name(folder: Path) -> str:
    try:
        return str(strict_json.read_object(folder / "config.json", "config").get("name", ""))
    except CodaxError:
        return ""
