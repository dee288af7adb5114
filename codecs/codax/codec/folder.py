"""Model folders: config.json beside model.safetensors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from codax.config import Config
from codax.nets import families
from codax.storage.digests import sha256
from codax.storage.tensors import ModelError, read_safetensors, safetensors_bytes, write_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
HASH_BYTES = 8


def write_model(folder: str | Path, config: Config, arrays: Mapping[str, np.ndarray], *, half: bool = False) -> None:
    """Writes both files into `folder`; each is replaced atomically.

    Args:
      arrays: the arrays by their names in the weights file.
      half: round to 16-bit floats.

    Raises:
      ModelError: the files cannot be written, or a value is too large for 16 bits.
    """
    write_folder(folder, model_files(folder, config, arrays, half=half))


def model_files(
    name: str | Path, config: Config, arrays: Mapping[str, np.ndarray], *, half: bool = False
) -> dict[str, bytes | str]:
    """The contents of both files, by their names. Raises ModelError naming `name`: a value is too large for 16 bits."""
    if half:
        arrays = {key: _half(name, key, value) for key, value in arrays.items()}
    weights = safetensors_bytes(arrays, format="codax", model=config.name)
    return {WEIGHTS_FILE: weights, CONFIG_FILE: config.to_json()}


def read_model(folder: Path) -> tuple[Config, dict[str, np.ndarray]]:
    """Reads the config and the arrays by name of a model folder.

    Raises:
      ModelError: a file is missing or damaged.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: not a model folder, {name} is missing")
    return Config.load(folder / CONFIG_FILE), read_safetensors(folder / WEIGHTS_FILE)


def widened(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts 16-bit floats to float32, in which models compute and are hashed."""
    return {name: v.astype(np.float32) if v.dtype == np.float16 else v for name, v in arrays.items()}


def weights_hash(name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """First 8 bytes of a SHA-256 of a model's name and the names, shapes and values of its arrays, widened."""
    named = ((f"{key}{value.shape}{value.dtype}", value) for key, value in sorted(arrays.items()))
    return sha256(name, *itertools.chain.from_iterable(named)).digest()[:HASH_BYTES]


def check_size(config: Config, arrays: int, values: int, path: Path) -> None:
    """Checks that a model has as many arrays, with as many values, as its config needs at least.

    Whatever the config states, what is built or traced from it is then no larger than the weights.

    Raises:
      ModelError: naming `path`, the weights.
    """
    model, facts = config.model, families.facts(config.model)
    least = facts.least_values + config.quantizer.least_values(model.dimension)
    least += model.semantic_dimension * model.dimension
    if arrays < facts.least_arrays or values < least:
        raise ModelError(
            f"{path}: {arrays} arrays of {values} values; a model of this config has at least {facts.least_arrays} "
            f"arrays of {least:.4g} values"
        )


def _half(folder: str | Path, name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype != np.float32:
        return value
    largest = float(np.abs(value).max(initial=0.0))
    if largest > float(np.finfo(np.float16).max):
        raise ModelError(f"{folder}: {name} has a value of {largest:g}, too large for 16-bit floats")
    return value.astype(np.float16)
