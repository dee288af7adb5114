"""One-dimensional convolution in groups of channels, [batch, time, channels], fast on CPUs.

On CPUs XLA's grouped convolution needs 20 times as long as matrix products with as many operations, and its gradients
even longer. Here every group folds time into blocks: all outputs of a block are one matrix product with a banded
matrix, in which the kernel is repeated at every output's position. Automatic differentiation gives gradients that are
matrix products too. Results equal those of the native form up to rounding; accelerators use the native form.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from codax.runtime.platforms import platform

_COLUMNS = 80  # of a block's matrix product, at least: narrower products are slow


def conv_grouped(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution of x [batch, time, in] with a kernel [width, in / groups, out].

    Args:
      pads: zeros before and after the signal.
      dilation: input samples between kernel taps.
    """
    if platform() == "cpu" and groups > 1 and dilation == 1:
        # In float32, because the sum over blocks would be rounded at each.
        wide = jnp.promote_types(x.dtype, jnp.float32)
        return _in_blocks(x.astype(wide), kernel.astype(wide), stride, pads, groups).astype(x.dtype)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride,),
        padding=[pads],
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=groups,
    )


def conv_depthwise(x: jax.Array, kernel: jax.Array, *, axis: int = 1, stride: int = 1, dilation: int = 1) -> jax.Array:
    """Convolution of each channel alone, without padding: a sum of products of views.

    Args:
      x: any shape, with time at `axis`.
      kernel: [width, ...]; each tap is broadcast to x.
      dilation: input samples between kernel taps.
    """
    span = x.shape[axis] - (len(kernel) - 1) * dilation
    views = (jax.lax.slice_in_dim(x, i * dilation, i * dilation + span, stride, axis) for i in range(len(kernel)))
    return functools.reduce(jnp.add, (view * tap for view, tap in zip(views, kernel, strict=True)))


def _in_blocks(x: jax.Array, kernel: jax.Array, stride: int, pads: tuple[int, int], groups: int) -> jax.Array:
    """Multiplies each block of the input by the parts of the banded matrix, then adds the products at their outputs."""
    (batch, time, channels), (width, _, features) = x.shape, kernel.shape
    length = max(0, (time + sum(pads) - width) // stride + 1)
    each = features // groups
    # Outputs of a block: it reads three blocks of the input, or two if the product would be narrow otherwise.
    reach = -(-(width - stride) // stride)
    count = max(-(-reach // 2), min(reach, -(-_COLUMNS // each)), 1)
    count = min(count, max(length, 1))
    block = count * stride
    blocks = -(-length // count)
    parts = -(-(block - stride + width) // block)
    rows = blocks + parts - 1
    x = jnp.pad(x, ((0, 0), (pads[0], max(0, rows * block - time - pads[0])), (0, 0)))[:, : rows * block]
    x = x.reshape(batch * rows, block, groups, channels // groups).transpose(2, 0, 1, 3)
    matrix = _banded(kernel, stride, groups, count, parts)
    products = (x.reshape(groups, batch * rows, -1) @ matrix).reshape(groups, batch, rows, parts, count * each)
    y = functools.reduce(jnp.add, (products[:, :, i : i + blocks, i] for i in range(parts)))
    y = y.reshape(groups, batch, blocks * count, each).transpose(1, 2, 0, 3)
    return y.reshape(batch, blocks * count, features)[:, :length]


def _banded(kernel: jax.Array, stride: int, groups: int, count: int, parts: int) -> jax.Array:
    """[groups, count * stride * in / groups, parts * count * out / groups]: output o of a block has tap t at position
    o * stride + t of the input, in units of a part and a position in it."""
    width, channels, features = kernel.shape
    block = count * stride
    span = parts * block
    taps = kernel.reshape(width, channels, groups, -1).transpose(2, 1, 3, 0)
    taps = jnp.pad(taps, ((0, 0), (0, 0), (0, 0), (0, span + stride - width)))
    # Rows that are longer than the span by a stride, read as rows of the span, move by a stride from row to row.
    taps = jnp.broadcast_to(taps[:, :, :, None], (*taps.shape[:3], count, span + stride))
    taps = taps.reshape(*taps.shape[:3], -1)[..., : count * span]
    taps = taps.reshape(groups, channels, features // groups, count, parts, block)
    return taps.transpose(0, 5, 1, 4, 3, 2).reshape(groups, block * channels, -1)
