"""The language model of codes (arXiv 2210.13438, section 3.3): a Transformer over frames with one head per codebook.

All codes of a step are predicted at once from the previous steps; within a step they are treated as independent. A step
is a frame, or with a layout such as "delay" it has codes of several frames, so that codes of a frame depend on each
other.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.lm.config import LMConfig
from codax.nets.transformer import Transformer, uniform
from codax.tokens.layouts import layout
from codax.tokens.padding import PAD


class LanguageModel(nn.Module):
    """Maps previous codes to logits; see `nets.transformer` for its streaming state."""

    config: LMConfig
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, previous: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
        """Predicts each frame from the previous frames.

        Args:
          previous: int32 [batch, time, codebooks], 1 + the codes of the previous step; 0 for the first step and where
            a step has no code. With fewer codebooks than the model has, the first ones are used.
          offset: position of the first frame, int32 [batch] or a scalar.

        Returns:
          Logits float32 [batch, time, codebooks, codebook_size].
        """
        c, count = self.config, previous.shape[-1]
        entries = self.param("embedding", nn.initializers.normal(1.0), (c.codebooks, c.codebook_size + 1, c.dim))
        kernel = self.param("kernel", uniform(c.dim), (c.dim, c.codebooks, c.codebook_size))
        bias = self.param("bias", uniform(c.dim), (c.codebooks, c.codebook_size))
        x = entries[jnp.arange(count), previous].sum(axis=-2)
        x = Transformer(c.layers, c.heads, c.hidden, c.past_context, c.period, self.dtype, name="transformer")(
            x, offset
        )
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        logits = jnp.einsum("btd,dkc->btkc", x, kernel[:, :count]) + bias[:count]
        return logits.astype(jnp.float32)


def previous_codes(codes: jax.Array) -> jax.Array:
    """The model input for steps int32 [batch, time, codebooks]: codes + 1, delayed by one step, starting with 0."""
    return jnp.pad(codes + 1, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def laid_out(codes: jax.Array, config: LMConfig) -> jax.Array:
    """Codes int32 [batch, frames, codebooks] as steps of the model's layout, `PAD` where a step has no code."""
    return layout(config.layout).apply(codes, fill=PAD) if config.layout else codes


def frames_of(steps: jax.Array, config: LMConfig) -> jax.Array:
    """Inverts `laid_out`: int32 [batch, steps, codebooks] -> [batch, frames, codebooks]."""
    return layout(config.layout).invert(steps) if config.layout else steps


def bits_of_codes(model: LanguageModel, params: Any, codes: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
    """Cross-entropy of codes int32 [batch, frames, codebooks]: bits [batch, steps, codebooks], 0 without a code."""
    steps = laid_out(codes, model.config)
    logits = model.apply({"params": params}, previous_codes(steps), offset)
    assert isinstance(logits, jax.Array)
    chosen = jnp.take_along_axis(logits, jnp.maximum(steps, 0)[..., None], -1)[..., 0]
    return jnp.where(steps >= 0, jax.nn.logsumexp(logits, axis=-1) - chosen, 0.0) / math.log(2)
