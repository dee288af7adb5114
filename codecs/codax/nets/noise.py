"""Noise as an input of a decoder.

A decoder that computes every frame by the same function repeats a pattern at the frame rate wherever its latent hardly
changes, as in pauses: one hears a tone, and a spectrogram shows lines at multiples of the frame rate. With noise the
frames differ.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

PERIOD = 256  # frames


def table(channels: int) -> np.ndarray:
    """Returns one period of the noise, float32 [PERIOD, channels]; the same numbers with every version of NumPy."""
    return np.random.RandomState(0).standard_normal((PERIOD, channels)).astype(np.float32)


class Noise(nn.Module):
    """Adds a linear function of `channels` of noise to x [batch, frames, features]; it starts as zero.

    The noise depends on the number of the frame in the signal alone, so that streaming gives the offline output.
    """

    channels: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.zeros, (self.channels, x.shape[-1]))
        steps = jnp.arange(x.shape[1])
        if self.is_mutable_collection("stream") and not self.is_initializing():
            frame = self.variable("stream", "frame", jnp.zeros, (), jnp.int32)
            steps = steps + frame.value
            frame.value = (frame.value + x.shape[1]) % PERIOD
        noise = jnp.asarray(table(self.channels))[steps % PERIOD]
        noise, kernel = nn.dtypes.promote_dtype(noise, kernel, dtype=self.dtype)
        return x + (noise @ kernel).astype(x.dtype)
