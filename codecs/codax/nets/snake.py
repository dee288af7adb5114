"""The Snake activation (Ziyin et al., arXiv 2006.08195), used in DAC: an inductive bias for periodic signals."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

_EPSILON = 1e-9


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha for [batch, time, channels], with a trained alpha per channel, initially 1.

    Computed in float32; the result has the type of x.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        alpha = self.param("alpha", nn.initializers.ones, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        return (wide + jnp.sin(alpha * wide) ** 2 / (alpha + _EPSILON)).astype(x.dtype)
