"""A language model as a folder: lm.json, lm.safetensors (trained weights) and lm_integer.safetensors (for coding).

Models with a layout have no integers: entropy coding needs all codes of a frame at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import CodaxError
from codax.lm.config import LMConfig
from codax.lm.predictor import LM, check_size, from_weights, parameter_shapes
from codax.lm.quantize import Arrays, quantize
from codax.storage import strict_json
from codax.storage.tensors import ModelError, read_safetensors, safetensors_bytes, write_folder

BLOCK_SECONDS = 5.0  # length of an independently coded block
_CONFIG, _WEIGHTS, _INTEGERS = "lm.json", "lm.safetensors", "lm_integer.safetensors"


def block_frames(config: Config) -> int:
    """Frames per block of a codec's codes."""
    return max(1, round(BLOCK_SECONDS * config.frame_rate))


def save_lm(lm: LM, codec: Config, folder: str | Path, *, codec_hash: bytes = b"") -> None:
    """Writes the folder, each file atomically.

    Args:
      lm: language model.
      codec: config of the codec whose codes it predicts.
      folder: target; created if it does not exist.
      codec_hash: of the codec whose codes it learned, if known.

    Raises:
      CodaxError: the folder cannot be written, or the weights exceed the range of the integer arithmetic.
    """
    weights = lm.flat()
    described: dict[str, Any] = {"codec": codec.name, "lm": lm.config.to_dict()}
    if codec_hash:
        described["codec_hash"] = codec_hash.hex()
    files: dict[str, bytes | str] = {
        _WEIGHTS: safetensors_bytes(weights, format="codax"),
        _CONFIG: json.dumps(described, indent=2) + "\n",
    }
    if not lm.config.layout:
        integers = quantize(weights, lm.config, block_frames(codec))
        files[_INTEGERS] = safetensors_bytes(integers, format="codax")
    write_folder(folder, files, kind="language model")


def has_lm(folder: str | Path) -> bool:
    """Whether the folder holds a language model."""
    return (Path(folder) / _CONFIG).is_file()


def load_config(folder: str | Path, *, coding: bool = False) -> LMConfig:
    """Reads lm.json. Raises ModelError naming it, with `coding` also if the model cannot code files."""
    path, values = _described(folder)
    try:
        config = LMConfig.from_dict(values["lm"])
        if coding and config.layout:
            raise ModelError(f"a language model with the layout {config.layout} cannot code files")
        return config
    except KeyError as error:
        raise ModelError(f"{path}: not the description of a language model ({error})") from error
    except CodaxError as error:
        raise ModelError(f"{path}: {error}") from error


def _described(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """The path of lm.json and its contents."""
    path = Path(folder) / _CONFIG
    return path, strict_json.read_object(path, "description of a language model", ModelError)


def check_codec(folder: str | Path, codec: Codec) -> None:
    """Raises ModelError if the language model in a folder states that it learned other codes than a codec's.

    A codec also has the codes of the models in `config.codes_of`.
    """
    path, values = _described(folder)
    if (stated := values.get("codec_hash", "")) not in ("", codec.hash.hex(), *codec.config.codes_of):
        raise ModelError(f"{path}: learned codes of the codec with hash {stated!s:.40}, not {codec.hash.hex()}")


def load_lm(folder: str | Path, *, coding: bool = False) -> LM:
    """Loads the trained weights. Raises ModelError as `load_config`, or naming the file and the reason."""
    path, config = Path(folder) / _WEIGHTS, load_config(folder, coding=coding)
    return from_weights(read_safetensors(path), config, path)


def load_integers(folder: str | Path) -> tuple[LMConfig, Arrays]:
    """Loads the config and the arrays of `lm.quantize`. Raises ModelError naming the file and the reason."""
    path, config = Path(folder) / _INTEGERS, load_config(folder, coding=True)
    arrays = read_safetensors(path)
    check_size(arrays, config, path)
    frames = len(arrays["positions"]) if arrays.get("positions", np.zeros(())).ndim else 1
    # Quantized zeros have the names, shapes and types that this config needs.
    zeros = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(config).items()}
    try:
        quantized = quantize(zeros, config, frames)
    except CodaxError as error:
        raise ModelError(f"{path.with_name(_CONFIG)}: {error}") from error
    for name, expected in quantized.items():
        actual = arrays.get(name)
        if actual is None or (actual.shape, actual.dtype) != (np.shape(expected), expected.dtype):
            raise ModelError(f"{path}: {name} does not fit the config")
    return config, arrays
