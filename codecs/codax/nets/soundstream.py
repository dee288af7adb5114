"""SoundStream's encoder and decoder (arXiv 2107.03312, section III-A and III-B).

The encoder is a convolution of width 7, blocks of three dilated residual units and one strided convolution of width
twice its stride, and a convolution of width 3 into the latent. The decoder mirrors it. ELU, no normalisation.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import ModelConfig
from codax.nets.conv import Conv, ConvTranspose


def block_channels(config: ModelConfig, base: int) -> list[int]:
    """Channels at every stage, from the stem to the last block: doubling, up to `max_channels`."""
    widths = [base * 2**i for i in range(len(config.strides) + 1)]
    return [min(w, config.max_channels) if config.max_channels else w for w in widths]


class ResidualUnit(nn.Module):
    """x + conv1(elu(conv_dilated(elu(x)))), channels unchanged."""

    kernel_size: int
    dilation: int
    residual_scale: float = 1.0
    causal: bool = True
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = {"causal": self.causal, "dtype": self.dtype}
        # lecun_normal is this initializer at scale 1.
        init = nn.initializers.variance_scaling(max(self.residual_scale, 1e-8) ** 2, "fan_in", "truncated_normal")
        y = Conv(x.shape[-1], self.kernel_size, dilation=self.dilation, name="dilated", **conv)(nn.elu(x))
        return x + Conv(x.shape[-1], 1, kernel_init=init, name="pointwise", **conv)(nn.elu(y))


class Encoder(nn.Module):
    """Audio [batch, time, audio_channels] to latent frames [batch, time / hop, dimension]."""

    config: ModelConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # compute what is inside residual units again in the backward pass

    @nn.compact
    def __call__(self, audio: jax.Array) -> jax.Array:
        c = self.config
        conv = {"causal": c.causal, "dtype": self.dtype}
        unit = nn.remat(ResidualUnit) if self.remat else ResidualUnit
        widths = block_channels(c, c.channels)
        if c.stem_stride > 1:
            x = Conv(widths[0], 2 * c.stem_stride, stride=c.stem_stride, name="stem", **conv)(audio)
        else:
            x = Conv(widths[0], c.kernel_size, name="stem", **conv)(audio)
        for i, stride in enumerate(c.strides):
            for j, dilation in enumerate(c.dilations):
                x = unit(c.kernel_size, dilation, c.residual_scale, name=f"block{i}_unit{j}", **conv)(x)
            x = Conv(widths[i + 1], 2 * stride, stride=stride, name=f"block{i}_down", **conv)(nn.elu(x))
        return Conv(c.dimension, c.latent_kernel_size, name="latent", **conv)(nn.elu(x))


class Decoder(nn.Module):
    """Latent frames [batch, frames, dimension] to audio [batch, frames * hop, audio_channels]."""

    config: ModelConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # as in `Encoder`

    @nn.compact
    def __call__(self, latent: jax.Array) -> jax.Array:
        c = self.config
        conv = {"causal": c.causal, "dtype": self.dtype}
        unit = nn.remat(ResidualUnit) if self.remat else ResidualUnit
        widths = block_channels(c, c.decoder_channels or c.channels)
        x = Conv(widths[-1], c.kernel_size, name="latent", **conv)(latent)
        for i, stride in reversed(list(enumerate(c.strides))):
            x = ConvTranspose(widths[i], stride, name=f"block{i}_up", **conv)(nn.elu(x))
            for j, dilation in enumerate(c.dilations):
                x = unit(c.kernel_size, dilation, c.residual_scale, name=f"block{i}_unit{j}", **conv)(x)
        x = nn.elu(x)
        if c.stem_stride > 1:
            return ConvTranspose(c.audio_channels, c.stem_stride, name="stem", **conv)(x)
        return Conv(c.audio_channels, c.kernel_size, name="stem", **conv)(x)
