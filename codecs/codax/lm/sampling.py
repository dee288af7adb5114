"""Sampling of codes from a language model, with keys and values of earlier steps kept (one program per length)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.errors import CodaxError
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, frames_of, laid_out, previous_codes
from codax.lm.predictor import LM

_UNKNOWN = -2  # a code to be drawn; -1 is a step without a code


def extend(
    lm: LM, prompt: np.ndarray, frames: int, *, temperature: float = 1.0, top_k: int = 0, seed: int = 0
) -> np.ndarray:
    """Draws a continuation of codes.

    Args:
      lm: the language model.
      prompt: codes, int [batch, frames of the prompt, codebooks]; no frames = from the start.
      frames: of the continuation.
      temperature: divides the logits; 0 takes the likeliest code.
      top_k: number of likeliest codes to draw from; 0 = all.
      seed: of the draws.

    Returns:
      The prompt with its continuation, int32 [batch, frames of the prompt + frames, codebooks].

    Raises:
      CodaxError: a code or an argument is out of range.
    """
    config, prompt = lm.config, np.asarray(prompt)
    if prompt.ndim != 3 or prompt.shape[2] != config.codebooks:
        raise CodaxError(f"prompt: codes of shape {list(prompt.shape)}, expected [batch, frames, {config.codebooks}]")
    if prompt.size and not 0 <= prompt.min() <= prompt.max() < config.codebook_size:
        raise CodaxError(f"prompt: its codes are not all from 0 to {config.codebook_size - 1}")
    if frames < 1 or not 0 <= temperature < np.inf or not 0 <= top_k <= config.codebook_size:
        raise CodaxError(f"sampling: frames {frames}, temperature {temperature:g} or top_k {top_k} is out of range")
    codes = np.pad(prompt.astype(np.int32), ((0, 0), (0, frames), (0, 0)), constant_values=_UNKNOWN)
    key = jax.random.key(seed)
    return np.asarray(_extended(config, prompt.shape[1], top_k, lm.params, codes, np.float32(temperature), key))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _extended(
    config: LMConfig,
    known: int,
    top_k: int,
    params: Mapping[str, Any],
    codes: jax.Array,
    temperature: jax.Array,
    key: jax.Array,
) -> jax.Array:
    """Fills in the unknown codes int32 [batch, frames, codebooks] after the first `known` frames."""
    net, steps = LanguageModel(config), laid_out(codes, config)
    # The inputs of the first `known` steps are known whatever the layout, which only delays codes.
    _, kept = net.apply({"params": params}, previous_codes(steps)[:, :known], mutable=["stream"])
    last = steps[:, known - 1] if known else jnp.full_like(steps[:, 0], -1)

    def step(carry: tuple[Any, jax.Array], inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        (stream, previous), (target, number) = carry, inputs
        variables = {"params": params, "stream": stream}
        logits, kept = net.apply(variables, previous[:, None] + 1, mutable=["stream"])
        drawn = _draw(jax.random.fold_in(key, number), logits[:, 0], temperature, top_k)
        chosen = jnp.where(target == _UNKNOWN, drawn, target)
        return (kept["stream"], chosen), chosen

    rest = jnp.moveaxis(steps[:, known:], 1, 0)
    _, drawn = jax.lax.scan(step, (kept["stream"], last), (rest, jnp.arange(len(rest))))
    return frames_of(jnp.concatenate([steps[:, :known], jnp.moveaxis(drawn, 0, 1)], axis=1), config)


def _draw(key: jax.Array, logits: jax.Array, temperature: jax.Array, top_k: int) -> jax.Array:
    """Draws codes int32 [...] from logits [..., codebook_size]."""
    if top_k:
        least = jax.lax.top_k(logits, top_k)[0][..., -1:]
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
    return jnp.where(temperature > 0, drawn, jnp.argmax(logits, axis=-1)).astype(jnp.int32)
