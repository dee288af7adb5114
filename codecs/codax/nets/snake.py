"""The Snake activation (Ziyin et al., arXiv 2006.08195), which DAC has everywhere: it leans to periodic signals."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

_EPSILON = 1e-9


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha for [batch, time, channels], with a trained alpha for each channel, 1 at first.

    Computed in float32, and given back in the type of x.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        alpha = self.param("alpha", nn.initializers.ones, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        return (wide + jnp.sin(alpha * wide) ** 2 / (alpha + _EPSILON)).astype(x.dtype)
