"""Mimi's encoder and decoder (arXiv 2410.00037, section 3.3): SEANet, a Transformer, and convolutional resampling.

SEANet's latent has `MimiConfig.resample_stride` steps per frame of codes. Signals that end within a frame are
zero-padded.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import MimiConfig
from codax.nets import seanet
from codax.nets.conv import Conv
from codax.nets.facts import Facts
from codax.nets.padding import with_context
from codax.nets.rotary import RotaryTransformer


def facts(config: MimiConfig) -> Facts:
    """Causal, and padded from outside."""
    dim, t, sizes = config.dimension, config.transformer, seanet.least_sizes(config)
    return Facts(
        least_arrays=sizes["least_arrays"] + 8 * t.layers,
        least_values=sizes["least_values"] + 2 * t.layers * (4 * dim + 2 * t.hidden) * dim,
    )


def _transformer(config: MimiConfig, dtype: jnp.dtype | None, remat: bool) -> RotaryTransformer:
    t = config.transformer
    return RotaryTransformer(
        t.layers, t.heads, t.hidden, t.context, t.period, t.layer_scale, dtype=dtype, remat=remat, name="transformer"
    )


class Upsample(nn.Module):
    """Depthwise transposed convolution of width 2 * stride, causal, without bias.

    [batch, frames, channels] to [batch, frames * stride, channels].
    """

    stride: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, frames, channels = x.shape
        # Each output sums two frames; the initial kernel approximately repeats each frame `stride` times.
        kernel = self.param("kernel", nn.initializers.normal(0.5**0.5), (2 * self.stride, channels))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        x = with_context(self, x, 1)[:, :, None]
        y = x[:, 1:] * kernel[: self.stride] + x[:, :-1] * kernel[self.stride :]
        return y.reshape(batch, frames * self.stride, channels)


class Encoder(nn.Module):
    """Audio [batch, time, audio_channels] to latent frames [batch, ceil(time / hop), dimension]."""

    config: MimiConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # recompute activations inside blocks and layers in the backward pass

    @nn.compact
    def __call__(self, audio: jax.Array) -> jax.Array:
        c = self.config
        audio = jnp.pad(audio, ((0, 0), (0, -audio.shape[1] % c.hop), (0, 0)))
        x = seanet.Encoder(c, dtype=self.dtype, remat=self.remat, name="seanet")(audio)
        x = _transformer(c, self.dtype, self.remat)(x)
        if c.resample_stride == 1:
            return x
        return Conv(
            c.dimension,
            2 * c.resample_stride,
            stride=c.resample_stride,
            use_bias=False,
            pad_mode="replicate",
            dtype=self.dtype,
            name="downsample",
        )(x)


class Decoder(nn.Module):
    """Latent frames [batch, frames, dimension] to audio [batch, frames * hop, audio_channels]."""

    config: MimiConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # as in `Encoder`

    @nn.compact
    def __call__(self, latent: jax.Array) -> jax.Array:
        c = self.config
        x = latent if c.resample_stride == 1 else Upsample(c.resample_stride, dtype=self.dtype, name="upsample")(latent)
        x = _transformer(c, self.dtype, self.remat)(x)
        return seanet.Decoder(c, dtype=self.dtype, remat=self.remat, name="seanet")(x)
