"""Layers of several networks of one form as one convolution in groups, for TPUs.

A TPU's compiler needs about as long for each convolution, whatever its size, so that fewer and larger ones compile
sooner. Networks whose signals differ in length share an array; what is outside a signal is zero at every layer, as
around a signal alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.nets.conv2d import Pads, conv2d
from codax.nets.weightnorm import kernel_of
from codax.runtime.platforms import platform

Layer = Mapping[str, jax.Array]


def is_wanted() -> bool:
    """Whether networks of one form are computed together on this platform."""
    return platform() == "tpu"


def is_possible(module: nn.Module) -> bool:
    """Whether a module computes networks together: it is wanted, and their parameters exist."""
    return is_wanted() and not module.is_initializing()


def convolution(
    layers: Sequence[Layer], x: jax.Array, *, strides: tuple[int, int], dtype: jnp.dtype | None
) -> jax.Array:
    """Applies a layer of each network to its channels, padded by half a kernel on both sides.

    Args:
      layers: parameters of each network's layer: kernel [height, width, in, out] and bias [out].
      x: [batch, time, frequency, networks * in].

    Returns:
      [batch, time / stride, frequency / stride, networks * out].
    """
    kernel = jnp.concatenate([kernel_of(layer) for layer in layers], axis=3)
    bias = jnp.concatenate([layer["bias"] for layer in layers])
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=dtype)
    height, width = kernel.shape[0] // 2, kernel.shape[1] // 2
    pads: Pads = ((height, height), (width, width))
    return conv2d(x, kernel, strides=strides, pads=pads, groups=len(layers)) + bias


def inside(x: jax.Array, masks: jax.Array) -> jax.Array:
    """Sets x [batch, time, frequency, networks * channels] to 0 where masks [time, frequency, networks] are false."""
    return jnp.where(jnp.repeat(masks, x.shape[3] // masks.shape[2], axis=2), x, 0)
