"""Layers and transforms that several discriminators share."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.nets.conv2d import conv2d
from codax.nets.weightnorm import kernel_parameter

PEAK = 0.8


class Conv2d(nn.Module):
    """Convolution of [batch, time, frequency, channels], padded by half the dilated kernel on both sides."""

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    weight_norm: bool = True
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1], self.features)
        init = nn.initializers.lecun_normal()
        kernel = kernel_parameter(self, init, shape, weight_norm=self.weight_norm, axis=3)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        halves = [(k - 1) * d // 2 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        pads = [(half, half) for half in halves]
        y = conv2d(x, kernel, strides=self.strides, pads=(pads[0], pads[1]), dilation=self.dilation)
        return y + bias


def parts_as_channels(spectrum: jax.Array, audio_channels: int) -> jax.Array:
    """Returns real and imaginary parts as channels.

    Args:
      spectrum: complex [batch * audio_channels, frames, bins].

    Returns:
      Real [batch, frames, bins, 2 * audio_channels].
    """
    spectrum = spectrum.reshape(-1, audio_channels, *spectrum.shape[1:])
    return jnp.moveaxis(jnp.concatenate([spectrum.real, spectrum.imag], axis=1), 1, -1)


def normalized(audio: jax.Array) -> jax.Array:
    """Subtracts the mean of each signal in audio [batch, time, channels] and scales its peak to 0.8."""
    centred = audio - jnp.mean(audio, axis=1, keepdims=True)
    return PEAK * centred / (jnp.max(jnp.abs(centred), axis=1, keepdims=True) + 1e-9)
