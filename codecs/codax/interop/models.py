"""Every form of a MODEL: a folder, a shipped model, a folder or file of another project, or a name on the hub.

A file or folder of this machine comes before a shipped model of that name, and both before the hub.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from codax.codec import loading, shipped
from codax.codec.codec import Codec
from codax.hub.failures import HubError
from codax.hub.names import HubName, parse
from codax.hub.repository import Repository, is_cached
from codax.interop import formats
from codax.interop.imports import imported
from codax.storage.tensors import ModelError

_LM = ("lm/lm.json", "lm/lm.safetensors", "lm/lm_integer.safetensors")  # the language model of a model of codax
_log = logging.getLogger(__name__)


def load(model: str | os.PathLike[str], *, beam: int | None = None) -> Codec:
    """Loads a codec.

    Args:
      model: a folder of codax, EnCodec, Mimi, DAC or SpeechTokenizer, a weights file of these, the name of a shipped
        model, or a name on the hub: "owner/name", with "/PATH" for a folder or file in the repository and "@REVISION".
        Models of other projects are converted once, and kept in codax's cache.
      beam: width of the beam search over levels in encoding, instead of the config's `quantizer.beam`. A wider beam
        takes longer and gives a smaller error, at the same bit rate and for any decoder; see
        `quantizers/beam_search.py`.

    Raises:
      CodaxError: there is no such model, or its files are damaged or do not fit together.
    """
    return loading.load(find(model), beam=beam)


def find(model: str | os.PathLike[str], *, refresh: bool = False) -> Path:
    """Returns the model folder of any model that `load` takes; `refresh` is that of `source`. Raises CodaxError."""
    path = source(model, refresh=refresh)
    return imported(path) if formats.is_foreign(path) else path


def source(model: str | os.PathLike[str], *, refresh: bool = False) -> Path:
    """Returns the folder or file that a model's name stands for, in its project's own format.

    Args:
      refresh: ask the hub for the newest commit of the revision, also if the cache has one.

    Raises:
      CodaxError: there is no such model.
    """
    text = os.fspath(model)
    path, name = shipped.find(text), parse(text)
    if path.exists():
        if path.parent != shipped.FOLDER and text in shipped.names():
            _log.warning("%s: the folder here is taken, not the shipped model of that name", text)
        elif name is not None and is_cached(name):
            _log.warning("%s: the folder here is taken, not the model of that name on the hub", text)
        return path
    if name is None:
        known = ", ".join(shipped.names())
        raise ModelError(f"{text}: no such model folder or file, nor a shipped model ({known}), nor a name on the hub")
    try:
        return _download(name, refresh=refresh)
    except HubError as error:
        raise HubError(f"{error}; {text} is no file or folder here either") from error


def _download(name: HubName, *, refresh: bool) -> Path:
    """Returns the folder or file of a model on the hub. The config is read before weights are downloaded."""
    repository = Repository(name, refresh=refresh)
    folder, file = _place(name, repository.sizes)
    inside = _inside(folder, repository.sizes)

    def get(names: list[str]) -> Path:
        return repository.get(_join(folder, one) for one in names) / folder

    texts = [one for one in (formats.CONFIG, formats.KYUTAI_CONFIG, shipped.CARD) if one in inside]
    if file:
        return get([*texts, file]) / file
    weights = formats.weights_among(inside)
    if not weights[0].removesuffix(formats.INDEX).endswith(formats.SAFE):
        revision = f"@{name.revision}" if name.revision else ""
        raise HubError(
            f"{name}: its weights are a pickle, which is taken only by its name: "
            f"{name.repo}/{_join(folder, weights[0])}{revision}"
        )
    path = get(texts) if texts else None
    if path is None or not formats.is_model_config(path):
        raise HubError(f"{name}: not a model of codax, EnCodec, Mimi, DAC or SpeechTokenizer, by its {formats.CONFIG}")
    return get([*texts, *weights, *(one for one in _LM if _join(folder, one) in repository.sizes)])


def _place(name: HubName, names: dict[str, int]) -> tuple[str, str]:
    """Returns the folder of the model in the repository, and the name of the file in it if the user named one."""
    if name.path in names:
        folder, _, file = name.path.rpartition("/")
        return folder, file
    if formats.weights_among(_inside(name.path, names)):
        return name.path, ""
    below = [one for one in names if one.startswith(_join(name.path, ""))]
    folders = sorted({one.rpartition("/")[0] for one in below})
    models = [folder for folder in folders if formats.weights_among(_inside(folder, names))]
    if len(models) == 1:
        return models[0], ""
    if models:
        raise HubError(f"{name}: has {len(models)} models: name one of {', '.join(models[:10])}")
    raise HubError(f"{name}: has no weights that codax reads" if below else f"{name}: has no {name.path}")


def _inside(folder: str, names: dict[str, int]) -> set[str]:
    """The names of the files in a folder of a repository, without those in folders below it."""
    prefix = _join(folder, "")
    return {one[len(prefix) :] for one in names if one.startswith(prefix) and "/" not in one[len(prefix) :]}


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
