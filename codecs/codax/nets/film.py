"""Conditioning of the bottleneck on denoising.

SoundStream's is a FiLM layer (feature-wise linear modulation, Perez et al., 2018) in a network that is trained for both
values of the switch. A `Denoiser` is added to a trained network, which it does not change where the switch is off.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import ModelConfig, SoundStreamConfig
from codax.nets.conv import Conv
from codax.nets.elu import elu
from codax.nets.soundstream import SOUNDSTREAM, ResidualUnit

CLASSES = 2  # denoising off, denoising on


def make_film(config: ModelConfig) -> nn.Module:
    """Creates the module that `model.film_dilations` selects."""
    return Denoiser(config) if isinstance(config, SoundStreamConfig) and config.film_dilations else FiLM()


class FiLM(nn.Module):
    """Scales and shifts every channel by a linear function of a condition that may vary from frame to frame.

    It is initialised to the identity.
    """

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array, on: jax.Array) -> jax.Array:
        """Args: x [batch, frames, channels]; on [batch, frames], 0 or 1. Returns the shape of x."""
        width, condition = x.shape[-1], jax.nn.one_hot(on.astype(jnp.int32), CLASSES)
        modulation = nn.Dense(
            2 * width, use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype, name="proj"
        )(condition)
        return x * (1 + modulation[..., :width]) + modulation[..., width:]


class Denoiser(nn.Module):
    """Adds the output of dilated residual units where the condition is on; elsewhere the latent is unchanged.

    The condition scales the units' output by 1 or 0, from frame to frame. The output is initialised to zero.
    """

    config: SoundStreamConfig

    @nn.compact
    def __call__(self, x: jax.Array, on: jax.Array) -> jax.Array:
        """Args: x [batch, frames, channels]; on [batch, frames], 0 or 1. Returns the shape of x."""
        c = self.config
        y = Conv(c.film_channels, 1, name="in")(x)
        for i, dilation in enumerate(c.film_dilations):
            y = ResidualUnit(c, SOUNDSTREAM, dilation, name=f"unit{i}")(y)
        return x + on[..., None] * Conv(x.shape[-1], 1, kernel_init=nn.initializers.zeros, name="out")(elu(y))
