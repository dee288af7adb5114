"""A language model with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel
from codax.storage.tensors import ModelError, check_arrays


class LM:
    """A language model of codes."""

    def __init__(self, config: LMConfig, params: Mapping[str, Any]) -> None:
        self.config = config.validate()
        self.params = jax.device_put(dict(params))

    def flat(self) -> dict[str, np.ndarray]:
        """Every array by its name, for example "params.transformer.norm_in.scale"."""
        flat = flatten_dict(jax.device_get(self.params), sep=".")
        return {f"params.{name}": np.asarray(value) for name, value in flat.items()}


def _shapes(config: LMConfig) -> Any:
    first = jax.ShapeDtypeStruct((1, 1, config.codebooks), jnp.int32)
    return jax.eval_shape(LanguageModel(config).init, jax.random.key(0), first)


def parameter_shapes(config: LMConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every array by its name."""
    return {name: value.shape for name, value in flatten_dict(_shapes(config), sep=".").items()}


def check_size(arrays: Mapping[str, np.ndarray], config: LMConfig, source: Path) -> None:
    """Raises ModelError if there are fewer arrays or values than the config needs, so that nothing larger is built."""
    values = sum(np.size(value) for value in arrays.values())
    if values < config.least_values or len(arrays) < config.layers:
        raise ModelError(f"{source}: {values} values; a model of this config has at least {config.least_values:.4g}")


def from_weights(weights: Mapping[str, np.ndarray], config: LMConfig, source: Path) -> LM:
    """Builds a language model from arrays named as in `LM.flat`; `source` is their file, for error messages.

    Raises:
      ModelError: an array is missing or unknown, or does not fit the config.
    """
    check_size(weights, config, source)
    check_arrays(weights, _shapes(config.validate()), source)
    return LM(config, unflatten_dict(dict(weights), sep=".")["params"])
