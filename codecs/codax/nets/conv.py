"""One-dimensional convolutions, offline and streaming, with a lowering chosen by backend.

Arrays are [batch, time, channels]. Layers are causal or "same"-padded. A causal layer has one implementation for both
uses: it prepends its left context to the input (see `nets/padding.py`) and convolves without padding, so that streaming
with any chunk size gives the offline output.

XLA's one-dimensional convolutions are slow on CPUs and GPUs, so there they are matrix products of shifted or folded
views: several times faster on CPUs, twice as fast in a training step measured on a GPU. TPUs use native convolutions.
All forms agree up to rounding (tested).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import export

from codax.nets.grouped import conv_grouped
from codax.nets.padding import pad_time, with_context
from codax.nets.weightnorm import kernel_parameter
from codax.runtime.platforms import platform

Initializer = Callable[..., jax.Array]


def default_lowering() -> str:
    """Returns "native" on TPUs and "matmul" elsewhere."""
    return "native" if platform() == "tpu" else "matmul"


def conv_valid(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1, groups: int = 1, lowering: str | None = None
) -> jax.Array:
    """Convolution without padding.

    Args:
      x: [batch, time, in_channels].
      kernel: [width, in_channels / groups, out_channels].
      stride: output step in input samples.
      dilation: input samples between kernel taps.
      groups: channel groups; see `nets/grouped.py`, whatever the lowering.
      lowering: "matmul", "native", or None for the default of the backend.

    Returns:
      [batch, (time - (width - 1) * dilation - 1) // stride + 1, out_channels].
    """
    lowering = lowering or default_lowering()
    width = kernel.shape[0]
    if groups > 1 or (lowering == "native" and width > 1):
        return conv_grouped(x, kernel, stride=stride, dilation=dilation, groups=groups)
    if stride > 1 and width == 2 * stride and dilation == 1:
        return _conv_two_blocks(x, kernel, stride)
    if stride == 1 and width > 1 and kernel.shape[2] < x.shape[2] and not _is_short(x, kernel):
        return _products_then_sums(x, kernel, dilation)
    length = (x.shape[1] - (width - 1) * dilation - 1) // stride + 1
    span = (length - 1) * stride + 1
    views = [x[:, i * dilation : i * dilation + span : stride] for i in range(width)]
    stacked = views[0] if width == 1 else jnp.concatenate(views, axis=-1)
    return stacked @ kernel.reshape(-1, kernel.shape[-1])


def _is_short(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether the signal is smaller than the kernel; copying parts of the kernel then costs more than views of it."""
    return not any(map(export.is_symbolic_dim, x.shape)) and x.size < kernel.size


def _products_then_sums(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    """Multiplies all samples by all taps in one product, then adds shifted views.

    For layers with fewer output than input channels, these views are smaller than views of the input.
    """
    width, channels, features = kernel.shape
    products = x @ jnp.moveaxis(kernel, 0, 1).reshape(channels, width * features)
    length = x.shape[1] - (width - 1) * dilation
    taps = (products[:, i * dilation : i * dilation + length, i * features : (i + 1) * features] for i in range(width))
    return functools.reduce(jnp.add, taps)


def _conv_two_blocks(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """A convolution of width 2 * stride: folds time into blocks of one stride and combines adjacent blocks."""
    batch, _, channels = x.shape
    blocks = x.shape[1] // stride
    folded = x[:, : blocks * stride].reshape(batch, blocks, stride * channels)
    this, following = folded[:, :-1], folded[:, 1:]
    if _is_short(x, kernel):
        return jnp.concatenate([this, following], axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
    halves = kernel.reshape(2, stride * channels, kernel.shape[-1])
    return this @ halves[0] + following @ halves[1]


def conv_transpose_two_blocks(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Transposed convolution of width 2 * stride, in polyphase form, without the first and last half window.

    The polyphase form (one matrix product, then overlap-add of two blocks) is used on every backend: the lhs-dilated
    native form was slower on all that were measured, especially its weight gradient.

    Args:
      x: [batch, frames + 1, in_channels]; the first frame is context.
      kernel: [2 * stride, in_channels, out_channels].
      stride: output samples per input frame.

    Returns:
      [batch, frames * stride, out_channels]: output sample t of frame f is x[f] k[t] + x[f - 1] k[stride + t].
    """
    width, in_channels, out_channels = kernel.shape
    if width != 2 * stride:
        raise ValueError(f"transposed convolution needs kernel width {2 * stride}, got {width}")
    y = x @ jnp.moveaxis(kernel, 0, 1).reshape(in_channels, width * out_channels)
    half = stride * out_channels
    return (y[:, 1:, :half] + y[:, :-1, half:]).reshape(x.shape[0], -1, out_channels)


class Conv(nn.Module):
    """Convolution of [batch, time, channels], causal (padded on the left) or padded evenly on both sides.

    A strided layer maps `time` samples to ceil(time / stride) frames: it pads the end to whole frames.
    """

    features: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    causal: bool = True
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: jnp.dtype | None = None  # of the computation; parameters stay float32
    lowering: str | None = None
    pad_mode: str = "zeros"  # "zeros", "reflect" or "replicate"
    norm: str = "none"  # "none", "weight" or "group" (one group over time and channels, after the convolution)

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Convolves; with `valid` (int32 scalar) only that many samples are signal, and padding replaces the rest."""
        shape = (self.kernel_size, x.shape[-1], self.features)
        kernel = kernel_parameter(self, self.kernel_init, shape, weight_norm=self.norm == "weight", axis=2)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        context = (self.kernel_size - 1) * self.dilation + 1 - self.stride
        if context < 0:
            raise ValueError(f"kernel of {self.kernel_size} x {self.dilation} is shorter than stride {self.stride}")
        missing = -x.shape[1] % self.stride
        if self.causal:
            # Without a stride the samples after the signal do not affect its frames.
            valid = valid if self.stride > 1 else None
            x = with_context(self, x, context, missing, self.pad_mode, valid)
        else:
            x = pad_time(x, context - context // 2, context // 2 + missing, self.pad_mode)
        y = conv_valid(x, kernel, stride=self.stride, dilation=self.dilation, lowering=self.lowering)
        y = y if bias is None else y + bias
        return group_norm(y, self.dtype) if self.norm == "group" else y


class ConvTranspose(nn.Module):
    """Transposed convolution of width 2 * stride: `frames` frames to `frames * stride` samples.

    A causal layer drops the overlap after the last frame, so that frame f of the output depends on frames f - 1 and f
    only. Otherwise half a stride is dropped on each side.
    """

    features: int
    stride: int
    causal: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: jnp.dtype | None = None
    norm: str = "none"  # as in `Conv`; a group norm includes the overlap that is dropped afterwards
    trim_right: float = 1.0  # fraction of a stride that a causal layer drops at the end; it drops the rest at the start
    short: bool = False  # non-causal with odd stride: drop the odd sample on both sides, giving one less (DAC)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # Each output sample sums two frames, so the initial scale is that of a width of 2.
        def init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            two_taps = self.kernel_init(key, (2, shape[1], shape[0] // 2 * shape[2]))
            return two_taps.reshape(2, shape[1], self.stride, shape[2]).transpose(0, 2, 1, 3).reshape(shape)

        shape = (2 * self.stride, x.shape[-1], self.features)
        kernel = kernel_parameter(self, init, shape, weight_norm=self.norm == "weight", axis=1)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        if self.causal and self.trim_right == 1.0 and self.norm != "group":
            return conv_transpose_two_blocks(with_context(self, x, 1), kernel, stride=self.stride) + bias
        frames = x.shape[1]
        y = conv_transpose_two_blocks(pad_time(x, 1, 1), kernel, stride=self.stride) + bias
        y = group_norm(y, self.dtype) if self.norm == "group" else y
        dropped = math.ceil(self.stride * self.trim_right) if self.causal else self.stride // 2  # at the end
        start = self.stride - dropped
        length = frames * self.stride - (self.stride % 2 if self.short and not self.causal else 0)
        return y[:, start : start + length]


def group_norm(x: jax.Array, dtype: jnp.dtype | None) -> jax.Array:
    """PyTorch's GroupNorm(1): normalises over time and channels, with a scale and a bias per channel."""
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name="norm")(x)
