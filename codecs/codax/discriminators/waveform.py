"""Multi-scale waveform discriminator of MelGAN (SoundStream, section III-D)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators.base import Member
from codax.nets.grouped import conv_grouped

DOWN = 4  # stride of each grouped convolution
LAYERS = 4  # number of grouped convolutions


def _convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], pads: str, *, feature_group_count: int, **_: Any
) -> jax.Array:
    """Convolution for `nn.Conv`; ignores dilation."""
    (around,) = jax.lax.padtype_to_pads(x.shape[1:2], kernel.shape[:1], strides, pads)
    return conv_grouped(x, kernel, stride=strides[0], pads=around, groups=feature_group_count)


Conv = functools.partial(nn.Conv, conv_general_dilated=_convolve)


class WaveDiscriminator(nn.Module):
    """Audio [batch, time, channels] -> logits [batch, time / 256, 1] and six feature maps.

    It has a convolution of width 15; four grouped convolutions of width 41 and stride 4, each with four times as many
    channels up to `max_channels` and `group_size` input channels per group; and convolutions of width 5 and 3.
    """

    channels: int = 16
    max_channels: int = 1024
    group_size: int = 4
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        def act(x):
            return nn.leaky_relu(x, 0.2)

        x = act(Conv(self.channels, (15,), dtype=self.dtype, name="stem")(audio))
        features = [x]
        width = self.channels
        for i in range(LAYERS):
            groups = max(1, width // self.group_size)
            width = min(width * 4, self.max_channels)
            conv = Conv(width, (41,), strides=(DOWN,), feature_group_count=groups, dtype=self.dtype, name=f"down{i}")
            x = act(conv(x))
            features.append(x)
        x = act(Conv(width, (5,), dtype=self.dtype, name="wide")(x))
        features.append(x)
        return Conv(1, (3,), dtype=self.dtype, name="logits")(x), features


def halve_rate(x: jax.Array) -> jax.Array:
    """Average pooling of width 4 and stride 2 over [batch, time, channels]."""
    return nn.avg_pool(x, (4,), strides=(2,), padding=((1, 1),), count_include_pad=False)  # pyright: ignore[reportArgumentType]


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns `wave_scales` discriminators, each at half the rate of the previous."""
    sizes = (config.wave_channels, config.wave_max_channels, config.wave_group_size)
    return [
        Member(name, WaveDiscriminator(*sizes, dtype=dtype, name=name), i, halve_rate)
        for i, name in enumerate(f"wave{i}" for i in range(config.wave_scales))
    ]
