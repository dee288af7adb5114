"""Complex-STFT discriminator of SoundStream (section III-D, figure 5)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators.base import Member
from codax.dsp.stft import stft
from codax.nets.conv2d import conv2d

# Channel multiplier and (time, frequency) stride of the six residual blocks.
BLOCKS = ((2, (1, 2)), (2, (2, 2)), (1, (1, 2)), (2, (2, 2)), (1, (1, 2)), (2, (2, 2)))


def _convolve(x: jax.Array, kernel: jax.Array, strides: Sequence[int], pads: Any, **_: Any) -> jax.Array:
    """Convolution for `nn.Conv`; ignores dilation and groups."""
    return conv2d(x, kernel, strides=(strides[0], strides[1]), pads=pads)


Conv = functools.partial(nn.Conv, conv_general_dilated=_convolve)


class ResidualBlock(nn.Module):
    """A 3 x 3 convolution, a strided convolution of kernel stride + 2, and a strided 1 x 1 shortcut."""

    features: int
    strides: tuple[int, int]
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = (self.strides[0] + 2, self.strides[1] + 2)
        y = Conv(x.shape[-1], (3, 3), dtype=self.dtype, name="conv")(nn.elu(x))
        y = Conv(self.features, kernel, strides=self.strides, dtype=self.dtype, name="down")(nn.elu(y))
        skip = Conv(self.features, (1, 1), strides=self.strides, dtype=self.dtype, name="shortcut")(x)
        return y + skip


class STFTDiscriminator(nn.Module):
    """Audio [batch, time, channels] -> logits [batch, frames / 8, 1] and seven feature maps.

    Real and imaginary parts are input channels. The transform is float32 whatever the type of the convolutions.
    """

    window: int = 1024
    hop: int = 256
    channels: int = 32
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        batch, time, audio_channels = audio.shape
        spectrum = stft(jnp.moveaxis(audio, -1, 1).reshape(-1, time), self.window, self.hop)
        # A full-scale sine gives values near one. Without the Nyquist bin, the number of bins is a power of two.
        spectrum = spectrum[..., : self.window // 2] * (4.0 / self.window)
        x = jnp.stack([spectrum.real, spectrum.imag], axis=-1)
        x = x.reshape(batch, audio_channels, *x.shape[1:])
        x = jnp.moveaxis(x, 1, -1).reshape(batch, x.shape[2], x.shape[3], -1)
        x = Conv(self.channels, (7, 7), dtype=self.dtype, name="stem")(x)
        features = [x]
        width = self.channels
        for i, (multiplier, strides) in enumerate(BLOCKS):
            width *= multiplier
            x = ResidualBlock(width, strides, dtype=self.dtype, name=f"block{i}")(x)
            features.append(x)
        logits = Conv(1, (1, x.shape[2]), padding="VALID", dtype=self.dtype, name="logits")(nn.elu(x))
        return logits[:, :, 0], features


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns one discriminator if `stft` is set, else none."""
    if not config.stft:
        return []
    sizes = (config.stft_window, config.stft_hop, config.stft_channels)
    return [Member("stft", STFTDiscriminator(*sizes, dtype=dtype, name="stft"))]
