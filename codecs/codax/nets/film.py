"""Feature-wise linear modulation (Perez et al., 2018), SoundStream's conditioning of the bottleneck on denoising."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class FiLM(nn.Module):
    """Scales and shifts every channel by a linear function of a condition that may vary from frame to frame.

    It is initialised to the identity.
    """

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        """Args: x [batch, frames, channels]; condition [batch, frames, classes] (one-hot). Returns the shape of x."""
        width = x.shape[-1]
        modulation = nn.Dense(
            2 * width, use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype, name="proj"
        )(condition)
        return x * (1 + modulation[..., :width]) + modulation[..., width:]
