"""Loads codecs from folders and from arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from codax.codec import shipped
from codax.codec.codec import Codec
from codax.codec.folder import WEIGHTS_FILE, check_size, read_model, widened
from codax.codec.module import init_variables
from codax.config import Config
from codax.runtime.program import named_devices
from codax.storage.tensors import ModelError, check_arrays


def load(model: str | Path, *, beam: int | None = None) -> Codec:
    """Loads a codec from a folder with config.json and model.safetensors, or a shipped model by name.

    `codax.interop.models.load` takes models of other projects and of the hub too.

    Args:
      model: the folder or the name.
      beam: width of the beam search in encoding, instead of the config's `quantizer.beam`.

    Raises:
      ModelError: there is no such model, or its files are damaged or do not fit together.
      ConfigError: the model cannot have this beam.
    """
    folder = shipped.find(model)
    if not folder.is_dir():
        known = ", ".join(shipped.names())
        raise ModelError(f"{model}: no such model folder, nor a shipped model" + (f" ({known})" if known else ""))
    config, arrays = read_model(folder)
    if beam is not None:
        config.quantizer.beam = beam
    with named_devices():
        return from_weights(arrays, config, folder / WEIGHTS_FILE, path=folder)


def from_weights(weights: Mapping[str, np.ndarray], config: Config, source: Path, *, path: Path | None = None) -> Codec:
    """Builds a codec from arrays by their names in the weights file, as `Codec.flat` returns them.

    Args:
      weights: the arrays; 16-bit floats are converted to float32.
      config: the model's config.
      source: the arrays' file, for messages.
      path: the codec's folder, if it has one.

    Raises:
      ModelError: an array is missing, unknown, or of another shape or type than the config needs.
    """
    arrays = widened(weights)
    check_size(config, len(arrays), sum(value.size for value in arrays.values()), source)
    check_arrays(arrays, jax.eval_shape(lambda: init_variables(config)), source)
    del weights
    # One by one, so that only one array at a time exists twice.
    variables = unflatten_dict({name: jax.device_put(arrays.pop(name)) for name in list(arrays)}, sep=".")
    return Codec(config, variables["params"], variables["codebook"], path=path)
