"""A language model as a folder: lm.json, lm.safetensors (trained weights) and lm_integer.safetensors (for coding)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from codax.config import Config
from codax.errors import CodaxError
from codax.lm.config import LMConfig
from codax.lm.predictor import LM, from_weights, parameter_shapes
from codax.lm.quantize import Arrays, quantize
from codax.storage.tensors import ModelError, read_safetensors, safetensors_bytes, write_folder

BLOCK_SECONDS = 5.0  # of the blocks that are coded on their own
_CONFIG, _WEIGHTS, _INTEGERS = "lm.json", "lm.safetensors", "lm_integer.safetensors"


def block_frames(config: Config) -> int:
    """Frames of a block of a codec's codes."""
    return max(1, round(BLOCK_SECONDS * config.frame_rate))


def save_lm(lm: LM, codec: Config, folder: str | Path) -> None:
    """Writes the folder; each file is replaced as a whole.

    Args:
      lm: language model.
      codec: config of the codec whose codes it predicts.
      folder: where to; made if it is not there.

    Raises:
      CodaxError: it cannot be written, or the weights are beyond integer arithmetic.
    """
    weights = lm.flat()
    integers = quantize(weights, lm.config, block_frames(codec))
    described = {"codec": codec.name, "lm": lm.config.to_dict()}
    files: dict[str, bytes | str] = {
        _WEIGHTS: safetensors_bytes(weights, format="codax"),
        _INTEGERS: safetensors_bytes(integers, format="codax"),
        _CONFIG: json.dumps(described, indent=2) + "\n",
    }
    write_folder(folder, files, kind="language model")


def has_lm(folder: str | Path) -> bool:
    """Is there a language model in this folder?"""
    return (Path(folder) / _CONFIG).is_file()


def load_config(folder: str | Path) -> LMConfig:
    """Reads lm.json. Raises ModelError naming it."""
    path = Path(folder) / _CONFIG
    try:
        return LMConfig.from_dict(json.loads(path.read_text(encoding="utf-8"))["lm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not the description of a language model ({error})") from error
    except CodaxError as error:
        raise ModelError(f"{path}: {error}") from error


def load_lm(folder: str | Path) -> LM:
    """The trained weights. Raises ModelError naming the file and what is wrong with it."""
    path = Path(folder) / _WEIGHTS
    return from_weights(read_safetensors(path), load_config(folder), path)


def load_integers(folder: str | Path) -> tuple[LMConfig, Arrays]:
    """The config and the arrays of `lm.quantize`. Raises ModelError naming the file and what is wrong with it."""
    path, config = Path(folder) / _INTEGERS, load_config(folder)
    arrays = read_safetensors(path)
    frames = len(arrays["positions"]) if arrays.get("positions", np.zeros(())).ndim else 1
    # Zeros have the names, shapes and types that this config leads to.
    nothing = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(config).items()}
    for name, wanted in quantize(nothing, config, frames).items():
        found = arrays.get(name)
        if found is None or (found.shape, found.dtype) != (np.shape(wanted), wanted.dtype):
            raise ModelError(f"{path}: {name} is not what the config wants")
    return config, arrays
