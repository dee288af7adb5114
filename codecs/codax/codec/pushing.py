"""A model folder on the hub: its files, its language model, and a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from codax.codec.folder import WEIGHTS_FILE, model_files, read_model, weights_hash, widened
from codax.codec.shipped import CARD
from codax.config import Config
from codax.hub import card
from codax.hub.failures import reported
from codax.hub.push import checked_repo, upload
from codax.storage.tensors import ModelError

_LOG = "metrics.jsonl"  # of a run, in the folder above that of its model


def push(
    name: str,
    config: Config,
    arrays: Mapping[str, np.ndarray],
    *,
    folder: Path | None = None,
    half: bool = False,
    private: bool = False,
    message: str = "",
    license: str = "",
    results: str | Path | None = None,
) -> str:
    """Uploads a model with its card, in one commit; returns the address of its page.

    Args:
      name: "user/name"; created if it does not exist.
      config, arrays: the model, with its arrays by their names in the weights file.
      folder: that of the model, for its README.md, whose text becomes part of the card, and its language model `lm`.
      half: round to 16-bit floats.
      private: create the repository as a private one.
      message: of the commit; "" = a general one.
      license: identifier of the hub, such as "cc-by-4.0"; "" = that of README.md, if it has one.
      results: results.json of an evaluation of this model, for the card.

    Raises:
      CodaxError: naming the model or file, and the reason. Earlier commits of the repository are unchanged.
    """
    repo = checked_repo(name)
    files = {name: _bytes(data) for name, data in model_files(name, config, arrays, half=half).items()}
    text = ""
    if folder is not None:
        lm = sorted((folder / "lm").glob("lm*.*"))
        files |= {f"lm/{path.name}": _read(path) for path in lm}
        text = _read(folder / CARD).decode("utf-8", "replace") if (folder / CARD).is_file() else ""
    facts = card.Facts(
        repo,
        config,
        digest=weights_hash(config.name, widened(arrays)).hex(),
        bytes=len(files[WEIGHTS_FILE]),
        values=sum(value.size for value in arrays.values()),
        trained=folder is not None and (folder.parent / _LOG).is_file(),
        text=text,
        license=license,
        results=Path(results) if results else None,
    )
    with reported(f"{repo}: {CARD}"):
        files[CARD] = card.make(facts).encode()
    return upload(repo, files, private=private, message=message)


def push_folder(folder: Path, name: str, **options: object) -> str:
    """Uploads a model folder; 16-bit floats stay. `options` are those of `push`. Raises CodaxError."""
    config, arrays = read_model(folder)
    return push(name, config, arrays, folder=folder, **options)  # pyright: ignore[reportArgumentType]


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
