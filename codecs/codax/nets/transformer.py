"""Causal Transformer with a limited past, as in EnCodec's language model (arXiv 2210.13438, section 3.3).

A layer consists of attention and two dense layers, each added to its input and then normalised (post-norm). Frame t
attends to itself and to the `past_context` frames before it. The first frame is preceded by one whose input to every
layer is zero: its keys and values are the biases, and it leaves the context like any other frame.

While the `stream` collection is mutable, it holds past keys and values, so that a sequence in chunks gives the same
result as the whole. They are in ring buffers of constant size: one compiled program serves every step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from codax.runtime.platforms import platform

BEFORE = -1  # number of the frame before the first one
_MASKED = -1e30
_DEEP = 4  # layers from which on a stack is a loop on accelerators


def sinusoids(positions: jax.Array, dim: int, period: float) -> jax.Array:
    """Position embedding: the cosines, then the sines, of dim / 2 wavelengths from 2 pi to 2 pi * `period` frames.

    Args:
      positions: int32 of any shape.
      dim: even, at least 4.
      period: see above.

    Returns:
      float32 [..., dim].
    """
    # For late frames the last bit of a phase matters, so exponents, wavelengths and phases are rounded to float32 as in
    # the reference. The barrier keeps XLA from multiplying by reciprocals, which would round twice.
    powers = np.arange(dim // 2, dtype=np.float32) / np.float32(dim // 2 - 1)
    wavelengths = (period ** powers.astype(np.float64)).astype(np.float32)
    numbers, divisors = jnp.broadcast_arrays(positions[..., None].astype(jnp.float32), jnp.asarray(wavelengths))
    phase = numbers / jax.lax.optimization_barrier(divisors)
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)


def ring_frames(count: jax.Array, size: int, first: int = BEFORE) -> jax.Array:
    """Numbers, int32 [size], of the frames in a ring buffer that has received the frames `first` to `count` - 1.

    Frame f is in slot (f - first) % size. A number below `first` marks an empty slot.
    """
    newest = count - 1
    return newest - jnp.mod(newest - first - jnp.arange(size), size)


def attend(
    queries: jax.Array,
    frames: jax.Array,
    parts: Sequence[tuple[jax.Array, jax.Array, jax.Array]],
    past_context: int,
    first: int = BEFORE,
) -> jax.Array:
    """Attention to keys in several parts, without concatenating them.

    Args:
      queries: [batch, heads, time, width].
      frames: of the queries, int32 [time].
      parts: keys and values, each [batch, heads, keys, width], and their frames, int32 [keys].
      past_context: number of previous frames that a query attends to.
      first: number of the first frame; slots with a smaller number are empty.

    Returns:
      [batch, heads, time, width].
    """
    queries = queries * queries.shape[-1] ** -0.5
    scores = []
    for keys, _, key_frames in parts:
        age = frames[:, None] - key_frames
        mask = (age >= 0) & (age <= past_context) & (key_frames >= first)
        score = jnp.einsum("bhqd,bhkd->bhqk", queries, keys).astype(jnp.float32)
        scores.append(jnp.where(mask, score, _MASKED))
    sizes = np.cumsum([score.shape[-1] for score in scores])[:-1]
    weights = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1).astype(queries.dtype)
    mixed = [
        jnp.einsum("bhqk,bhkd->bhqd", weight, values)
        for weight, (_, values, _) in zip(jnp.split(weights, sizes, axis=-1), parts, strict=True)
    ]
    return sum(mixed[1:], mixed[0])


def uniform(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's initialisation of a dense layer's kernel and bias: uniform in +/- fan_in ** -0.5."""
    bound = fan_in**-0.5

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Attention(nn.Module):
    """Self-attention to the past, x [batch, time, dim] to the same shape; with a `stream`, also to earlier calls."""

    heads: int
    past_context: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, time, dim = x.shape
        zeros = nn.initializers.zeros
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (dim, 3 * dim))  # queries, keys, values
        bias = self.param("bias", zeros, (3 * dim,))
        out_kernel = self.param("out_kernel", uniform(dim), (dim, dim))
        out_bias = self.param("out_bias", zeros, (dim,))
        x, kernel, bias, out_kernel, out_bias = promote_dtype(x, kernel, bias, out_kernel, out_bias, dtype=self.dtype)

        def split(y: jax.Array) -> jax.Array:  # three of [batch, heads, time, width]
            return jnp.moveaxis(y.reshape(*y.shape[:2], 3, self.heads, dim // self.heads), (2, 3), (0, 2))

        queries, keys, values = split(x @ kernel + bias)
        _, *before = split(jnp.broadcast_to(bias, (batch, 1, 3 * dim)))
        if not self.is_mutable_collection("stream") or self.is_initializing():
            frames = jnp.arange(time)
            past = (before[0], before[1], jnp.full(1, BEFORE))
        else:
            size = self.past_context
            empty = ((0, 0), (0, 0), (0, size - 1), (0, 0))
            kept_keys, kept_values = (
                self.variable("stream", name, lambda y=y: jnp.pad(y, empty))
                for name, y in zip(("keys", "values"), before, strict=True)
            )
            count = self.variable("stream", "count", lambda: jnp.zeros((), jnp.int32))
            frames = count.value + jnp.arange(time)
            past = (kept_keys.value, kept_values.value, ring_frames(count.value, size))
            slots = jnp.mod(frames[-size:] - BEFORE, size)
            kept_keys.value = kept_keys.value.at[:, :, slots].set(keys[:, :, -size:])
            kept_values.value = kept_values.value.at[:, :, slots].set(values[:, :, -size:])
            count.value = count.value + time
        mixed = attend(queries, frames, [past, (keys, values, frames)], self.past_context)
        return jnp.moveaxis(mixed, 1, 2).reshape(batch, time, dim) @ out_kernel + out_bias


class Layer(nn.Module):
    """norm(y + dense(gelu(dense(y)))) with y = norm(x + attention(x)); `hidden` channels between the dense layers."""

    heads: int
    hidden: int
    past_context: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dim = x.shape[-1]
        x = norm("norm1", self.dtype)(x + Attention(self.heads, self.past_context, self.dtype, name="attention")(x))
        y = dense(self.hidden, dim, "dense1", self.dtype)(x)
        y = dense(dim, self.hidden, "dense2", self.dtype)(nn.gelu(y, approximate=False))
        return norm("norm2", self.dtype)(x + y)


class Transformer(nn.Module):
    """Norm, position embedding and layers, x [batch, time, dim] to the same shape.

    `offset`, int32 [batch] or a scalar, is the position of the first frame. With a `stream`, positions continue from
    call to call, and later offsets are ignored.
    """

    layers: int
    heads: int
    hidden: int
    past_context: int  # at least 1
    period: float = 10_000.0
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
        batch, time, dim = x.shape
        first = jnp.broadcast_to(jnp.asarray(offset, jnp.int32), (batch,))
        if self.is_mutable_collection("stream") and not self.is_initializing():
            position = self.variable("stream", "position", lambda: first)
            first, position.value = position.value, position.value + time
        embedding = sinusoids(first[:, None] + jnp.arange(time), dim, self.period)
        x = norm("norm_in", self.dtype)(x)
        x = x + embedding.astype(x.dtype)
        layer = functools.partial(Layer, self.heads, self.hidden, self.past_context, self.dtype)
        return through_layers(self, layer, self.layers, x)


def through_layers(module: nn.Module, layer: Callable[..., nn.Module], count: int, x: jax.Array) -> jax.Array:
    """Applies layers of the same form, which are submodules "layer0", "layer1" and so on, one after another.

    On accelerators a deep stack is a loop, whose body is compiled once: their compilers need about as long for every
    matrix product. On CPUs, where compilation is fast, and in a stream, the layers are separate.

    Args:
      module: has the parameters.
      layer: creates a layer, with `name` or `parent`.
      count: number of layers.
      x: input of the first layer, of the form and type of all outputs.
    """
    is_separate = module.is_initializing() or module.is_mutable_collection("stream")
    if platform() == "cpu" or count < _DEEP or is_separate:
        for i in range(count):
            x = layer(name=f"layer{i}")(x)
        return x
    every = [module.variables["params"][f"layer{i}"] for i in range(count)]
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *every)

    def apply(y: jax.Array, params: Any) -> tuple[Any, None]:
        return layer(parent=None).apply({"params": params}, y), None

    return jax.lax.scan(apply, x, stacked)[0]


def norm(name: str, dtype: jnp.dtype | None, epsilon: float = 1e-5) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, dtype=dtype, name=name)


def dense(channels: int, fan_in: int, name: str, dtype: jnp.dtype | None) -> nn.Dense:
    return nn.Dense(channels, kernel_init=uniform(fan_in), bias_init=uniform(fan_in), dtype=dtype, name=name)
