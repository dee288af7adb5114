"""Multi-period and multi-scale discriminators of HiFi-GAN (arXiv 2010.05646, section 2.3), as in SpeechTokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators import together
from codax.discriminators.base import Member, Output
from codax.discriminators.layers import Conv2d
from codax.nets.grouped import conv_grouped
from codax.nets.weightnorm import kernel_parameter

SLOPE = 0.1
PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
PERIOD_STRIDES = (3, 3, 3, 3, 1)
# Channels, width, stride, groups.
SCALE_LAYERS = (
    (128, 15, 1, 1),
    (128, 41, 2, 4),
    (256, 41, 2, 16),
    (512, 41, 4, 16),
    (1024, 41, 4, 16),
    (1024, 41, 1, 16),
    (1024, 5, 1, 1),
)
_POWER_STEPS = 8


def _act(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, SLOPE)


class PeriodDiscriminator(nn.Module):
    """Audio [batch, time, 1], folded at a period, -> logits [batch, steps, period, 1] and six feature maps.

    The last feature map is the logits; `keep_logits` = False omits it.
    """

    period: int
    max_channels: int = 1024
    keep_logits: bool = True
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        x, features = folded(audio, self.period), []
        for i, (channels, stride) in enumerate(zip(PERIOD_CHANNELS, PERIOD_STRIDES, strict=True)):
            width = min(channels, self.max_channels)
            x = _act(Conv2d(width, (5, 1), (stride, 1), dtype=self.dtype, name=f"conv{i}")(x))
            features.append(x)
        x = Conv2d(1, (3, 1), dtype=self.dtype, name="logits")(x)
        return x, [*features, x] if self.keep_logits else features


def folded(audio: jax.Array, period: int) -> jax.Array:
    """Audio [batch, time, channels] -> [batch, time / period, period, channels], with a mirrored end."""
    padded = jnp.pad(audio, ((0, 0), (0, -audio.shape[1] % period), (0, 0)), mode="reflect")
    return padded.reshape(len(audio), -1, period, audio.shape[2])


def periods_together(
    nets: Sequence[PeriodDiscriminator], params: Sequence[Any], audio: Sequence[jax.Array]
) -> list[Output]:
    """Computes discriminators of several periods: the columns of each folded signal follow one another in time.

    A column takes a multiple of the product of all strides, with at least two zeros at its end after every layer.
    """
    whole, count = math.prod(PERIOD_STRIDES), len(nets)
    signals = [folded(x, net.period) for net, x in zip(nets, audio, strict=True)]
    steps = [x.shape[1] for x in signals]  # of a column
    spans = [whole * (-(-n // whole) + 2) for n in steps]  # that a column takes
    length = max(net.period * span for net, span in zip(nets, spans, strict=True))
    rows = []
    for x, n, span in zip(signals, steps, spans, strict=True):
        columns = jnp.pad(jnp.moveaxis(x, 2, 1), ((0, 0), (0, 0), (0, span - n), (0, 0)))
        columns = columns.reshape(len(x), -1, x.shape[3])
        rows.append(jnp.pad(columns, ((0, 0), (0, length - columns.shape[1]), (0, 0))))
    x = jnp.concatenate(rows, axis=2)[:, :, None]
    maps: list[list[jax.Array]] = [[] for _ in nets]
    layers = [(f"conv{i}", stride) for i, stride in enumerate(PERIOD_STRIDES)]
    for name, stride in [*layers, ("logits", 1)]:
        y = together.convolution([p[name] for p in params], x, strides=(stride, 1), dtype=nets[0].dtype)
        steps, spans = [-(-n // stride) for n in steps], [span // stride for span in spans]
        place = jnp.arange(y.shape[1])[:, None]
        x = together.inside(y if name == "logits" else _act(y), (place % jnp.array(spans) < jnp.array(steps))[:, None])
        for own, net, part, n, span in zip(maps, nets, jnp.split(x, count, axis=3), steps, spans, strict=True):
            columns = part[:, : net.period * span].reshape(len(x), net.period, span, -1)
            own.append(jnp.moveaxis(columns[:, :, :n], 1, 2))
    return [(own[-1], own if net.keep_logits else own[:-1]) for own, net in zip(maps, nets, strict=True)]


def spectral_normed(kernel: jax.Array) -> jax.Array:
    """Divides a kernel [..., out] by the largest singular value of its matrix [product of the other axes, out].

    Each call runs a power iteration, so there is no state; no gradient flows through the singular vectors. Products
    with vectors are sums, because a TPU's compiler needs a second for every matrix product, however small.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
    fixed = jax.lax.stop_gradient(matrix)

    def iterate(_: int, right: jax.Array) -> jax.Array:
        product = _vector_matrix(_matrix_vector(fixed, right), fixed)
        return product / jnp.maximum(jnp.linalg.norm(product), 1e-12)

    # Not a vector of ones: rows that sum to 0 would give a start of 0.
    start = _vector_matrix(jnp.cos(jnp.arange(len(matrix), dtype=jnp.float32)), fixed)
    right = jax.lax.fori_loop(0, _POWER_STEPS, iterate, start)
    left = _matrix_vector(fixed, right)
    left = left / jnp.maximum(jnp.linalg.norm(left), 1e-12)
    return (kernel / jnp.maximum(jnp.sum(left * _matrix_vector(matrix, right)), 1e-12)).astype(kernel.dtype)


def _matrix_vector(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    return jnp.sum(matrix * vector, axis=1)


def _vector_matrix(vector: jax.Array, matrix: jax.Array) -> jax.Array:
    return jnp.sum(vector[:, None] * matrix, axis=0)


class Conv1d(nn.Module):
    """Convolution of [batch, time, channels], padded by half the kernel's width on both sides."""

    features: int
    width: int
    stride: int = 1
    groups: int = 1
    spectral: bool = False  # spectral normalisation instead of weight normalisation
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.width, x.shape[-1] // self.groups, self.features)
        init: Callable[..., jax.Array] = nn.initializers.lecun_normal()
        kernel = kernel_parameter(self, init, shape, weight_norm=not self.spectral, axis=2)
        kernel = spectral_normed(kernel) if self.spectral else kernel
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        half = self.width // 2
        y = conv_grouped(x, kernel, stride=self.stride, pads=(half, half), groups=self.groups)
        return y + bias


class ScaleDiscriminator(nn.Module):
    """Audio [batch, time, 1] -> logits [batch, time / 64, 1] and eight feature maps; see `PeriodDiscriminator`."""

    spectral: bool = False
    max_channels: int = 1024
    keep_logits: bool = True
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        x, features = audio, []
        for i, (channels, width, stride, groups) in enumerate(SCALE_LAYERS):
            kept = min(channels, self.max_channels)
            conv = Conv1d(kept, width, stride, groups, self.spectral, dtype=self.dtype, name=f"conv{i}")
            x = _act(conv(x))
            features.append(x)
        x = Conv1d(1, 3, spectral=self.spectral, dtype=self.dtype, name="logits")(x)
        return x, [*features, x] if self.keep_logits else features


def halve(x: jax.Array) -> jax.Array:
    """Average pooling of width 4 and stride 2 over [batch, time, channels], with two zeros on both sides."""
    return nn.avg_pool(x, (4,), strides=(2,), padding=((2, 2),), count_include_pad=True)  # pyright: ignore[reportArgumentType]


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns a discriminator for each period in `periods`, and `scales` more, each at half the previous rate."""
    most, keep = config.hifigan_max_channels, config.hifigan_logits
    periods = [
        Member(name, PeriodDiscriminator(period, most, keep, dtype=dtype, name=name), together=periods_together)
        for period, name in ((period, f"period{period}") for period in config.periods)
    ]
    # Only the first scale, at the full rate, has spectral normalisation.
    scales = [
        Member(name, ScaleDiscriminator(i == 0, most, keep, dtype=dtype, name=name), i, halve)
        for i, name in enumerate(f"scale{i}" for i in range(config.scales))
    ]
    return periods + scales
