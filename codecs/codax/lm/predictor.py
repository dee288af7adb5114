"""A language model with its weights, run frame by frame or in chunks; one compiled program per chunk length."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel
from codax.storage.tensors import ModelError, check_arrays

State = Any  # keys, values and positions of every layer, of constant shape


class LM:
    """A language model of codes."""

    def __init__(self, config: LMConfig, params: Mapping[str, Any]) -> None:
        self.config = config.validate()
        self.params = jax.device_put(dict(params))
        self._steppers: dict[int, Stepper] = {}

    def flat(self) -> dict[str, np.ndarray]:
        """Every array by its name, for example "params.transformer.norm_in.scale"."""
        flat = flatten_dict(jax.device_get(self.params), sep=".")
        return {f"params.{name}": np.asarray(value) for name, value in flat.items()}

    def stepper(self, codebooks: int | None = None) -> Stepper:
        """For sequences of the first `codebooks` codebooks, None = all. Raises ConfigError if there are fewer."""
        count = self.config.checked_codebooks(codebooks)
        if count not in self._steppers:
            self._steppers[count] = Stepper(self.config, self.params, count)
        return self._steppers[count]

    def begin(self, codebooks: int) -> Callable[[np.ndarray], np.ndarray]:
        """Starts a sequence, in the form that `containers.ecdc_lm` uses.

        Returns:
          A function from the previous frame, int [codebooks] (1 + its codes; 0 before the first frame), to the
          probabilities of the next frame, float32 [codebooks, codebook_size].
        """
        stepper = self.stepper(codebooks)
        state = stepper.start()

        def predict(previous: np.ndarray) -> np.ndarray:
            nonlocal state
            probabilities, state = stepper(state, np.asarray(previous)[None, None])
            return np.asarray(probabilities)[0, 0]

        return predict


class Stepper:
    """The model for sequences of some codebooks. Chunked and full evaluation agree up to float32 rounding (1e-6)."""

    def __init__(self, config: LMConfig, params: Mapping[str, Any], codebooks: int) -> None:
        self.codebooks = codebooks
        used = {
            "embedding": params["embedding"][:codebooks],
            "kernel": params["kernel"][:, :codebooks],
            "bias": params["bias"][:codebooks],
        }
        self._params = jax.device_put({**params, **used})
        net = LanguageModel(dataclasses.replace(config, codebooks=codebooks))

        def run(params, state, previous, offset):
            logits, kept = net.apply({"params": params, "stream": state}, previous, offset, mutable=["stream"])
            return jax.nn.softmax(logits, axis=-1), kept["stream"]

        self._run = jax.jit(run, donate_argnums=1)

    def start(self, batch: int = 1, offset: np.ndarray | int = 0) -> State:
        """The state before the first frame, whose position is `offset`: int32 [batch] or a scalar."""
        empty = np.zeros((batch, 0, self.codebooks), np.int32)
        return self._run(self._params, {}, empty, np.asarray(offset, np.int32))[1]

    def __call__(self, state: State, previous: np.ndarray | jax.Array) -> tuple[jax.Array, State]:
        """Evaluates a chunk of frames.

        Args:
          state: from `start` or the previous call; its buffers are donated.
          previous: int [batch, time, codebooks], for each frame 1 + the codes of the previous one; 0 for the first.

        Returns:
          Probabilities float32 [batch, time, codebooks, codebook_size] and the new state.
        """
        return self._run(self._params, state, jnp.asarray(previous, jnp.int32), np.zeros((), np.int32))


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
