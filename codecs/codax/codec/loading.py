"""Codecs from folders and from arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from codax.codec import shipped
from codax.codec.codec import Codec
from codax.codec.folder import WEIGHTS_FILE, read_model
from codax.codec.module import init_variables
from codax.config import Config
from codax.storage.tensors import ModelError, check_arrays


def load(model: str | Path, *, beam: int | None = None) -> Codec:
    """Loads a codec from a folder with config.json and model.safetensors, or a shipped model by name.

    Args:
      model: the folder or the name.
      beam: paths that encoding follows through the levels, instead of the config's `quantizer.beam`: more of them take
        longer and leave less error, at the same rate and for any decoder; see `quantizers/beam_search.py`.

    Raises:
      ModelError: nothing there, or files that are damaged or do not fit together.
      ConfigError: a beam that the model cannot have.
    """
    folder = shipped.find(model)
    if not folder.is_dir():
        known = ", ".join(shipped.names())
        raise ModelError(f"{model}: no such model folder, nor a shipped model" + (f" ({known})" if known else ""))
    config, arrays = read_model(folder)
    if beam is not None:
        config.quantizer.beam = beam
    return from_weights(arrays, config, folder / WEIGHTS_FILE, path=folder)


def from_weights(weights: Mapping[str, np.ndarray], config: Config, source: Path, *, path: Path | None = None) -> Codec:
    """A codec of arrays by their names in the weights file, as `Codec.flat` gives them, or of 16-bit floats.

    Args:
      weights: the arrays.
      config: of the model.
      source: the file that they come from, for messages.
      path: the codec's folder, if it has one.

    Raises:
      ModelError: an array is missing, unknown, or not what the config wants.
    """
    arrays = {name: v.astype(np.float32) if v.dtype == np.float16 else v for name, v in weights.items()}
    check_arrays(arrays, jax.eval_shape(lambda: init_variables(config)), source)
    del weights
    # One by one, so that both copies are there of a single array only.
    variables = unflatten_dict({name: jax.device_put(arrays.pop(name)) for name in list(arrays)}, sep=".")
    return Codec(config, variables["params"], variables["codebook"], path=path)
