"""The language model of codes (arXiv 2210.13438, section 3.3): one Transformer over frames, one head for each codebook.

All codes of a frame are predicted at once from the frames before it; within a frame they count as independent.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.lm.config import LMConfig
from codax.nets.transformer import Transformer, uniform


class LanguageModel(nn.Module):
    """Earlier codes to logits; see `nets.transformer` for pieces of a sequence and their state."""

    config: LMConfig
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, previous: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
        """Predicts each frame from the one before it and the past of that.

        Args:
          previous: int32 [batch, time, codebooks], 1 + the codes of the frame before; 0 where there is none. With
            fewer codebooks than the model has, they are the first ones.
          offset: position of the first frame, int32 [batch] or a scalar.

        Returns:
          float32 [batch, time, codebooks, codebook_size].
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
    """What predicts codes int32 [batch, time, codebooks], for the whole sequence: one frame later, plus 1, from 0."""
    return jnp.pad(codes + 1, ((0, 0), (1, 0), (0, 0)))[:, :-1]
