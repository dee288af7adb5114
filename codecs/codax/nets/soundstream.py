"""SoundStream's encoder and decoder (arXiv 2107.03312, sections III-A and III-B).

The encoder is a convolution of width 7; blocks of three dilated residual units and a strided convolution of twice the
stride; and a convolution of width 3 to the latent. The decoder mirrors it. SoundStream uses ELU and no normalisation.
Families that share this network differ in a `Variant`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import SoundStreamConfig
from codax.nets import frame_decoder
from codax.nets.conv import Conv, ConvTranspose
from codax.nets.elu import elu
from codax.nets.facts import Facts
from codax.nets.noise import Noise


@dataclasses.dataclass(frozen=True)
class Variant:
    """Differences between families that share this network.

    Attributes:
      activation: creates the activation of a given name, under which its parameters are stored, if it has any.
      short: whether strided transposed convolutions omit the samples at the ends of the signal that need padding.
      finish: function after the decoder's last convolution.
      initial_variance: of the kernels, times their inputs; 1 keeps the variance in a linear network.
    """

    activation: Callable[[str], Callable[[jax.Array], jax.Array]]
    short: bool
    finish: Callable[[jax.Array], jax.Array]
    initial_variance: float = 1.0

    def initializer(self, scale: float = 1.0) -> nn.initializers.Initializer:
        """Returns the initialisation of a kernel, times `scale`."""
        variance = self.initial_variance * max(scale, 1e-8) ** 2
        return nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal")


SOUNDSTREAM = Variant(activation=lambda name: elu, short=False, finish=lambda x: x)


def facts(config: SoundStreamConfig) -> Facts:
    """The receptive field on either side; models with segments code them as a whole."""
    sizes = least_sizes(config)
    if config.segment_seconds:
        return Facts(**sizes)
    rate = config.stem_stride  # samples per step of the layer
    reach = 2 * rate if rate > 1 else config.kernel_size // 2  # samples
    for stride in config.strides:
        reach += rate * sum((config.kernel_size - 1) * dilation // 2 + 1 for dilation in config.dilations)
        reach += rate * 2 * stride  # a kernel of twice the stride, and to where a step begins
        rate *= stride
    reach += rate * (max(config.kernel_size, config.latent_kernel_size) // 2)  # convolutions to and from the latent
    reach += rate * sum((config.kernel_size - 1) * dilation // 2 + 1 for dilation in config.film_dilations)
    decoder = frame_decoder.reach(config) if config.frame_decoder.layers else 0
    return Facts(context_frames=max(-(-reach // rate), decoder), **sizes)


def least_sizes(config: SoundStreamConfig) -> dict[str, Any]:
    """Lower bounds of the sizes in `Facts`, from the kernels of all convolutions."""
    c, by_frame = config, config.frame_decoder.layers > 0
    values = frame_decoder.least_values(config) if by_frame else 0
    stem = 2 * c.stem_stride if c.stem_stride > 1 else c.kernel_size
    sides = (c.channels, c.latent_kernel_size), (c.decoder_channels or c.channels, c.kernel_size)
    for base, latent in sides[:1] if by_frame else sides:
        widths = block_channels(c, base)
        values += stem * c.audio_channels * widths[0] + latent * widths[-1] * c.dimension
        for width, wider, stride in zip(widths, widths[1:], c.strides, strict=False):
            values += 2 * stride * width * wider + len(c.dilations) * c.kernel_size * width**2
    arrays = len(c.strides) * (1 + 2 * len(c.dilations))
    return {"least_arrays": arrays + 9 * c.frame_decoder.layers if by_frame else 2 * arrays, "least_values": values}


def block_channels(config: SoundStreamConfig, base: int) -> list[int]:
    """Channels at every stage, from the stem to the last block: doubling, up to `max_channels`."""
    widths = [base * 2**i for i in range(len(config.strides) + 1)]
    return [min(w, config.max_channels) if config.max_channels else w for w in widths]


def _layers(config: SoundStreamConfig, variant: Variant, dtype: jnp.dtype | None) -> tuple[Any, Any]:
    """Returns the constructors of convolutions and transposed convolutions."""
    shared = {"causal": config.causal, "norm": "weight" if config.weight_norm else "none", "dtype": dtype}
    shared["kernel_init"] = variant.initializer()
    return functools.partial(Conv, **shared), functools.partial(ConvTranspose, short=variant.short, **shared)


class ResidualUnit(nn.Module):
    """x + conv1(act(conv_dilated(act(x)))), channels unchanged."""

    config: SoundStreamConfig
    variant: Variant
    dilation: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        (conv, _), activation = _layers(c, self.variant, self.dtype), self.variant.activation
        init = self.variant.initializer(c.residual_scale)
        y = activation("act0")(x)
        y = conv(x.shape[-1], c.kernel_size, dilation=self.dilation, name="dilated")(y)
        y = activation("act1")(y)
        return x + conv(x.shape[-1], 1, kernel_init=init, name="pointwise")(y)


class Encoder(nn.Module):
    """Audio [batch, time, audio_channels] to latent frames [batch, time / hop, dimension]."""

    config: SoundStreamConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # recompute activations inside residual units in the backward pass
    variant: Variant = SOUNDSTREAM

    @nn.compact
    def __call__(self, audio: jax.Array) -> jax.Array:
        c = self.config
        (conv, _), activation = _layers(c, self.variant, self.dtype), self.variant.activation
        unit = nn.remat(ResidualUnit) if self.remat else ResidualUnit
        widths = block_channels(c, c.channels)
        if c.stem_stride > 1:
            x = conv(widths[0], 2 * c.stem_stride, stride=c.stem_stride, name="stem")(audio)
        else:
            x = conv(widths[0], c.kernel_size, name="stem")(audio)
        for i, stride in enumerate(c.strides):
            for j, dilation in enumerate(c.dilations):
                x = unit(c, self.variant, dilation, dtype=self.dtype, name=f"block{i}_unit{j}")(x)
            x = activation(f"block{i}_act")(x)
            x = conv(widths[i + 1], 2 * stride, stride=stride, name=f"block{i}_down")(x)
        return conv(c.dimension, c.latent_kernel_size, name="latent")(activation("act")(x))


class Decoder(nn.Module):
    """Latent frames [batch, frames, dimension] to audio [batch, frames * hop, audio_channels]."""

    config: SoundStreamConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # as in `Encoder`
    variant: Variant = SOUNDSTREAM

    @nn.compact
    def __call__(self, latent: jax.Array) -> jax.Array:
        c = self.config
        conv, up = _layers(c, self.variant, self.dtype)
        activation = self.variant.activation
        unit = nn.remat(ResidualUnit) if self.remat else ResidualUnit
        widths = block_channels(c, c.decoder_channels or c.channels)
        x = conv(widths[-1], c.kernel_size, name="latent")(latent)
        x = Noise(c.noise_channels, dtype=self.dtype, name="noise")(x) if c.noise_channels else x
        for i, stride in reversed(list(enumerate(c.strides))):
            x = up(widths[i], stride, name=f"block{i}_up")(activation(f"block{i}_act")(x))
            for j, dilation in enumerate(c.dilations):
                x = unit(c, self.variant, dilation, dtype=self.dtype, name=f"block{i}_unit{j}")(x)
        x = activation("act")(x)
        if c.stem_stride > 1:
            x = up(c.audio_channels, c.stem_stride, name="stem")(x)
        else:
            x = conv(c.audio_channels, c.kernel_size, name="stem")(x)
        x = self.variant.finish(x)
        if not self.variant.short:
            return x
        # Odd strides omit a few samples at the end.
        return jnp.pad(x, ((0, 0), (0, latent.shape[1] * c.hop - x.shape[1]), (0, 0)))


def make_decoder(
    config: SoundStreamConfig, dtype: jnp.dtype | None = None, remat: bool = False, variant: Variant = SOUNDSTREAM
) -> nn.Module:
    """Creates the decoder that `config.frame_decoder` selects."""
    if config.frame_decoder.layers:
        return frame_decoder.Decoder(config, dtype=dtype, remat=remat)
    return Decoder(config, dtype=dtype, remat=remat, variant=variant)
