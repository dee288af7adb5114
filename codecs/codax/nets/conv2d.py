"""Two-dimensional convolution of [batch, time, frequency, channels], with gradients that are fast on CPUs.

On CPUs XLA's convolution is fast but its gradients are not: the input gradient convolves a signal dilated with zeros,
the kernel gradient has a kernel as large as the signal. Here the first is a convolution that computes all phases
of a stride at once (polyphase), the second a matrix product. With few input channels, as in a first layer, blocks of
frequencies become channels. Results equal those of automatic differentiation up to rounding; accelerators use automatic
differentiation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from codax.runtime.platforms import platform

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_NARROW = 4  # up to this number of input channels, blocks of frequencies become channels
_BLOCK, _BLOCK_BACK = 4, 8  # frequencies of a block, forward and for the input gradient
_WIDE = 16  # from this number of channels on, separate products are faster


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: Pair = (1, 1),
    pads: Pads | str = "SAME",
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> jax.Array:
    """Convolution of x [batch, time, frequency, in] with a kernel [height, width, in / groups, out].

    Args:
      pads: zeros before and after each axis, or "SAME" for ceil(size / stride) outputs.
      dilation: distance between the taps of the kernel.
      groups: of channels; more than one is slow on CPUs.
    """
    if isinstance(pads, str):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)]
        pads = _pairs(jax.lax.padtype_to_pads(x.shape[1:3], reach, strides, pads))
    # The polyphase form supports a stride or a dilation along an axis, not both.
    both = any(s > 1 and d > 1 for s, d in zip(strides, dilation, strict=True))
    if platform() != "cpu" or both or groups > 1:
        return _native(x, kernel, strides, pads, dilation, groups)
    return _with_gradients(x, kernel, strides, pads, dilation)


def _pairs(pads: Sequence[Sequence[int]]) -> Pads:
    (a, b), (c, d) = pads
    return (a, b), (c, d)


def _native(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, dilation: Pair, groups: int = 1) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=_DIMENSIONS, feature_group_count=groups
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _with_gradients(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, dilation: Pair) -> jax.Array:
    if _is_narrow(kernel, strides, dilation):
        return _in_channels(x, kernel, pads, dilation, _BLOCK)
    return _native(x, kernel, strides, pads, dilation)


def _forward(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, dilation: Pair):
    return _with_gradients(x, kernel, strides, pads, dilation), (x, kernel)


def _is_narrow(kernel: jax.Array, strides: Pair, dilation: Pair) -> bool:
    """Whether a convolution has too few input channels to be fast, and can have blocks of frequencies as channels."""
    return kernel.shape[2] <= _NARROW and kernel.shape[1] > 1 and strides == (1, 1) and dilation[1] == 1


def _in_channels(x: jax.Array, kernel: jax.Array, pads: Pads, dilation: Pair, size: int) -> jax.Array:
    """Convolution without strides whose channels are those of `size` neighbouring frequencies.

    It multiplies with zeros, too, but a matrix product with more columns is faster.
    """
    height, width, channels, out = kernel.shape
    batch, time, frequencies, _ = x.shape
    before, after = pads[1]
    outputs = frequencies + before + after - width + 1
    reach = -(-(size + width - 1) // size)  # blocks that a block of outputs reads
    blocks = -(-outputs // size) + reach - 1
    x = jnp.pad(x, ((0, 0), (0, 0), (before, blocks * size - frequencies - before), (0, 0)))
    x = x.reshape(batch, time, blocks, size * channels)
    shifted = [jnp.pad(kernel, ((0, 0), (i, reach * size - width - i), (0, 0), (0, 0))) for i in range(size)]
    wide = jnp.stack(shifted, axis=3).reshape(height, reach, size * channels, size * out)
    y = _with_gradients(x, wide, (1, 1), (pads[0], (0, 0)), dilation)
    return y.reshape(batch, y.shape[1], -1, out)[:, :, :outputs]


def _backward(strides: Pair, pads: Pads, dilation: Pair, residuals: tuple[jax.Array, jax.Array], grad_out: jax.Array):
    x, kernel = residuals
    return (
        input_gradient(grad_out, kernel, x.shape, strides, pads, dilation),
        kernel_gradient(grad_out, x, kernel.shape, strides, pads, dilation),
    )


_with_gradients.defvjp(_forward, _backward)


def _in_blocks(kernel: jax.Array, strides: Pair) -> jax.Array:
    """Zero-pads a kernel to whole strides: [blocks, stride, blocks, stride, in, out]."""
    counts = [-(-k // s) for k, s in zip(kernel.shape, strides, strict=False)]
    missing = [(0, n * s - k) for n, s, k in zip(counts, strides, kernel.shape, strict=False)]
    filled = jnp.pad(kernel, (*missing, (0, 0), (0, 0)))
    return filled.reshape(counts[0], strides[0], counts[1], strides[1], *kernel.shape[2:])


def input_gradient(
    grad_out: jax.Array, kernel: jax.Array, shape: Sequence[int], strides: Pair, pads: Pads, dilation: Pair
) -> jax.Array:
    """Gradient of the input, of `shape`, given that of the output, `grad_out` [batch, time', frequency', out].

    Output o reads the padded input at o * stride + tap. With tap = block * stride + phase, the gradient at position
    q * stride + phase is the sum over blocks of grad_out[q - block] kernel[block, phase]: a convolution of stride 1
    with the blocks in reverse order, whose output channels are all phases.
    """
    if _is_narrow(kernel, strides, dilation):
        linear = functools.partial(_in_channels, kernel=kernel, pads=pads, dilation=dilation, size=_BLOCK_BACK)
        return jax.vjp(linear, jnp.zeros(shape, grad_out.dtype))[1](grad_out)[0]
    blocks = _in_blocks(kernel, strides)[::-1, :, ::-1]
    counts = blocks.shape[0], blocks.shape[2]
    flat = blocks.transpose(0, 2, 5, 1, 3, 4).reshape(*counts, kernel.shape[3], -1)
    positions = [-(-(shape[a + 1] + pads[a][0]) // strides[a]) for a in (0, 1)]
    around = tuple(((counts[a] - 1) * dilation[a], positions[a] - grad_out.shape[a + 1]) for a in (0, 1))
    grad = _native(grad_out, flat, (1, 1), _pairs(around), dilation)
    grad = grad.reshape(-1, *positions, *strides, kernel.shape[2]).transpose(0, 1, 3, 2, 4, 5)
    grad = grad.reshape(-1, positions[0] * strides[0], positions[1] * strides[1], kernel.shape[2])
    # Positions after the last one that an output reads have no gradient.
    missing = [max(0, pads[a][0] + shape[a + 1] - grad.shape[a + 1]) for a in (0, 1)]
    grad = jnp.pad(grad, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    (top, _), (left, _) = pads
    return grad[:, top : top + shape[1], left : left + shape[2]]


def kernel_gradient(
    grad_out: jax.Array, x: jax.Array, shape: Sequence[int], strides: Pair, pads: Pads, dilation: Pair
) -> jax.Array:
    """Gradient of the kernel, of `shape`, given that of the output, `grad_out` [batch, time', frequency', out].

    Examples are processed one at a time, so that the views stay in the processor's cache: the output gradient with its
    shifts along time, times the input in blocks of one stride, for each block of the kernel along frequency.
    """
    counts = [-(-k // s) for k, s in zip(shape, strides, strict=False)]
    outs = grad_out.shape[1:3]
    rows, columns = (outs[a] + (counts[a] - 1) * dilation[a] for a in (0, 1))  # blocks covered by the kernel
    channels = x.shape[3]

    def add_example(total: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        part, gradient = example
        sizes = (rows * strides[0], columns * strides[1])
        after = [max(0, sizes[a] - part.shape[a] - pads[a][0]) for a in (0, 1)]
        part = jnp.pad(part, ((pads[0][0], after[0]), (pads[1][0], after[1]), (0, 0)))[: sizes[0], : sizes[1]]
        part = part.reshape(rows, strides[0], columns, strides[1], channels).transpose(0, 2, 1, 3, 4)
        part = part.reshape(rows, columns, -1)
        edge = (counts[0] - 1) * dilation[0]
        gradient = jnp.pad(gradient, ((edge, edge), (0, 0), (0, 0)))
        starts = [(counts[0] - 1 - i) * dilation[0] for i in range(counts[0])]
        shifted = jnp.concatenate([gradient[s : s + rows] for s in starts], axis=-1).reshape(rows * outs[1], -1)
        views = [part[:, i * dilation[1] : i * dilation[1] + outs[1]] for i in range(counts[1])]
        if part.shape[2] < _WIDE:  # too narrow for separate products
            views = [jnp.concatenate(views, axis=-1)]
        products = [shifted.T @ view.reshape(rows * outs[1], -1) for view in views]
        return total + jnp.concatenate(products, axis=1), None

    size = (counts[0] * shape[3], counts[1] * strides[0] * strides[1] * channels)
    grad, _ = jax.lax.scan(add_example, jnp.zeros(size, grad_out.dtype), (x, grad_out))
    grad = grad.reshape(counts[0], shape[3], counts[1], *strides, channels).transpose(0, 3, 2, 4, 5, 1)
    grad = grad.reshape(counts[0] * strides[0], counts[1] * strides[1], channels, shape[3])
    return grad[: shape[0], : shape[1]]
