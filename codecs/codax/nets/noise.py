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


def with_noise(module: nn.Module, x: jax.Array, channels: int) -> jax.Array:
    """Appends `channels` of noise to x [batch, frames, features].

    The noise depends on the number of the frame in the signal alone, so that streaming gives the offline output.
    """
    if not channels:
        return x
    steps = jnp.arange(x.shape[1])
    if module.is_mutable_collection("stream") and not module.is_initializing():
        frame = module.variable("stream", "frame", jnp.zeros, (), jnp.int32)
        steps = steps + frame.value
        frame.value = (frame.value + x.shape[1]) % PERIOD
    noise = jnp.asarray(table(channels))[steps % PERIOD].astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(noise, (*x.shape[:2], channels))], axis=-1)
