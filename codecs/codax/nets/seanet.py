"""SEANet encoder and decoder of EnCodec (arXiv 2210.13438, section 3.1), 24 kHz causal and 48 kHz stereo.

The encoder is a convolution of width 7; for each stride a residual block and a convolution of twice the stride; an LSTM
with a skip connection; and a convolution to the latent. The decoder mirrors it. Public implementations differ in
padding, shortcut, normalisation and trimming; `RecurrentSEANetConfig` has a field for each. SpeechTokenizer (arXiv
2308.16692) uses the non-causal network with a bidirectional LSTM in the encoder.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import EncodecConfig, SEANetModelConfig
from codax.nets.conv import Conv, ConvTranspose
from codax.nets.elu import elu
from codax.nets.facts import Facts
from codax.nets.lstm import SkipLSTM


def facts(config: EncodecConfig) -> Facts:
    """Reflection at the signal's start looks ahead: so far must streaming gather first."""
    net = config.seanet
    sizes = least_sizes(config)
    if net.pad_mode != "reflect":
        return Facts(pads_inside=True, **sizes)
    residual = 1 + (net.residual_kernel_size - 1) * max(config.dilations, default=1)
    longest = max(config.kernel_size, net.last_kernel_size, residual)
    return Facts(pads_inside=True, start_frames=1 << (longest - 1).bit_length(), **sizes)


def least_sizes(config: SEANetModelConfig) -> dict[str, Any]:
    """Lower bounds of the sizes in `Facts`, from the kernels of all layers."""
    c, net, values = config, config.seanet, 0
    sides = (c.channels, c.kernel_size, net.last_kernel_size), (c.decoder_channels, net.last_kernel_size, c.kernel_size)
    for base, first, latent in sides:
        widths = [(base or c.channels) * 2**i for i in range(len(c.strides) + 1)]
        stem = 2 * c.stem_stride if c.stem_stride > 1 else first
        values += stem * c.audio_channels * widths[0] + latent * c.dimension * widths[-1]
        values += 8 * net.lstm_layers * widths[-1] ** 2
        for width, stride in zip(widths, c.strides, strict=False):
            values += 4 * stride * width**2
            values += len(c.dilations) * net.residual_kernel_size * width * (width // net.compress)
    arrays = len(c.strides) * (1 + 2 * len(c.dilations)) + 3 * net.lstm_layers
    return {"least_arrays": 2 * arrays, "least_values": values}


def _conv(config: SEANetModelConfig, dtype: jnp.dtype | None):
    net = config.seanet
    return functools.partial(Conv, causal=config.causal, pad_mode=net.pad_mode, norm=net.norm, dtype=dtype)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv1(elu(conv_dilated(elu(x)))), with channels / compress hidden channels."""

    config: SEANetModelConfig
    dilation: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        net, channels = self.config.seanet, x.shape[-1]
        conv = _conv(self.config, self.dtype)
        hidden = channels // net.compress
        y = conv(hidden, net.residual_kernel_size, dilation=self.dilation, name="dilated")(elu(x))
        y = conv(channels, 1, name="pointwise")(elu(y))
        return y + (x if net.shortcut == "identity" else conv(channels, 1, name="shortcut")(x))


class Encoder(nn.Module):
    """Audio [batch, time, audio_channels] to latent frames [batch, ceil(time / hop), dimension]."""

    config: SEANetModelConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # recompute activations inside blocks in the backward pass

    @nn.compact
    def __call__(self, audio: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """With `valid` (int32 scalar) only that many samples are signal; frames after its end are undefined."""
        c = self.config
        conv = _conv(c, self.dtype)
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        width = c.channels
        if c.stem_stride > 1:
            x = conv(width, 2 * c.stem_stride, stride=c.stem_stride, name="stem")(audio, valid)
            valid = None if valid is None else -(-valid // c.stem_stride)
        else:
            x = conv(width, c.kernel_size, name="stem")(audio)
        for i, stride in enumerate(c.strides):
            for j, dilation in enumerate(c.dilations):
                x = block(c, dilation, dtype=self.dtype, name=f"block{i}_unit{j}")(x)
            width *= 2
            x = conv(width, 2 * stride, stride=stride, name=f"block{i}_down")(elu(x), valid)
            valid = None if valid is None else -(-valid // stride)
        if c.seanet.lstm_layers:
            both = c.seanet.bidirectional
            x = SkipLSTM(c.seanet.lstm_layers, both, dtype=self.dtype, name="lstm")(x)
        return conv(c.dimension, c.seanet.last_kernel_size, name="latent")(elu(x))


class Decoder(nn.Module):
    """Latent frames [batch, frames, dimension] to audio [batch, frames * hop, audio_channels]."""

    config: SEANetModelConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # as in `Encoder`

    @nn.compact
    def __call__(self, latent: jax.Array) -> jax.Array:
        c = self.config
        net = c.seanet
        conv = _conv(c, self.dtype)
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        up = functools.partial(
            ConvTranspose, causal=c.causal, norm=net.norm, trim_right=net.trim_right_ratio, dtype=self.dtype
        )
        width = (c.decoder_channels or c.channels) * 2 ** len(c.strides)
        x = conv(width, c.kernel_size, name="latent")(latent)
        if net.lstm_layers:
            x = SkipLSTM(net.lstm_layers, dtype=self.dtype, name="lstm")(x)
        for i, stride in reversed(list(enumerate(c.strides))):
            width //= 2
            x = up(width, stride, name=f"block{i}_up")(elu(x))
            for j, dilation in enumerate(c.dilations):
                x = block(c, dilation, dtype=self.dtype, name=f"block{i}_unit{j}")(x)
        if c.stem_stride > 1:
            return up(c.audio_channels, c.stem_stride, name="stem")(elu(x))
        return conv(c.audio_channels, net.last_kernel_size, name="stem")(elu(x))
