"""Causal Transformer with rotary positions, as on both sides of Mimi's quantizer (arXiv 2410.00037, 3.3.1).

A layer consists of attention and two dense layers, each on the normalised input (pre-norm) and added to it with a
learned scale; only the norms have biases. A step attends to itself and the `context` - 1 steps before it. Positions are
rotations of queries and keys (arXiv 2104.09864), where channels i and i + width / 2 form a pair. While the `stream`
collection is mutable, it holds past keys and values in a ring buffer.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from codax.nets.transformer import attend, norm, ring_frames, through_layers, uniform

_DIGIT = 256  # positions are split into digits of this base
_DIGITS = 4


def rotations(positions: jax.Array, width: int, period: float) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine of every position's angles, float32 [..., width / 2] each.

    Angle i is position * period ** (-2 i / width). In float32 that product would be wrong by a full turn after days of
    streaming, so the rotations of a position's digits, from tables, are composed.

    Args:
      positions: int32 of any shape, >= 0.
      width: channels of a head.
      period: base of the frequencies.
    """
    speeds = period ** (-2.0 / width * np.arange(width // 2))
    cos, sin = jnp.ones(()), jnp.zeros(())
    for digit in range(_DIGITS):
        angles = np.outer(np.arange(_DIGIT) * float(_DIGIT) ** digit, speeds)
        value = positions // _DIGIT**digit % _DIGIT
        c, s = (jnp.asarray(f(angles).astype(np.float32))[value] for f in (np.cos, np.sin))
        cos, sin = cos * c - sin * s, sin * c + cos * s
    return cos, sin


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Rotates x [..., time, width] by the angles [time, width / 2] of its steps, in float32."""
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1).astype(x.dtype)


def attend_blocks(queries: jax.Array, keys: jax.Array, values: jax.Array, context: int) -> jax.Array:
    """Attention of a long sequence, [batch, heads, time, width] each, in linear time and memory.

    Each block of `context` steps attends to itself and to the previous block.
    """
    *start, time, width = queries.shape
    blocks = -(-time // context)

    def cut(x: jax.Array) -> jax.Array:  # [batch, heads, blocks, context, width]
        x = jnp.pad(x, ((0, 0), (0, 0), (0, blocks * context - time), (0, 0)))
        return x.reshape(*start, blocks, context, width)

    def with_previous(x: jax.Array) -> jax.Array:
        x = cut(x)
        return jnp.concatenate([jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0), (0, 0)))[:, :, :-1], x], axis=3)

    def block(number: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        steps = number * context + jnp.arange(context)
        key_steps = (number - 1) * context + jnp.arange(2 * context)
        return attend(q, steps, [(k, v, key_steps)], context - 1, first=0)

    mixed = jax.vmap(block, in_axes=(0, 2, 2, 2), out_axes=2)(
        jnp.arange(blocks), cut(queries), with_previous(keys), with_previous(values)
    )
    return mixed.reshape(*start, blocks * context, width)[:, :, :time]


def _is_long(time: int, context: int) -> bool:
    """Whether blocks are faster. A symbolic length (in an export) counts as long."""
    try:
        return time > 2 * context
    except jax.errors.InconclusiveDimensionOperation:
        return True


class RotaryAttention(nn.Module):
    """Self-attention to the past, x [batch, time, dim] to the same shape; with a `stream`, also to earlier calls."""

    heads: int
    context: int
    period: float
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, time, dim = x.shape
        width = dim // self.heads
        kernel = self.param("kernel", uniform(dim), (dim, 3 * dim))  # queries, keys, values
        out_kernel = self.param("out_kernel", uniform(dim), (dim, dim))
        x, kernel, out_kernel = promote_dtype(x, kernel, out_kernel, dtype=self.dtype)
        split = (x @ kernel).reshape(batch, time, 3, self.heads, width)
        queries, keys, values = jnp.moveaxis(split, (2, 3), (0, 2))  # [batch, heads, time, width] each
        streaming = self.is_mutable_collection("stream") and not self.is_initializing()
        if streaming:
            shape = (batch, self.heads, self.context, width)
            ring = [self.variable("stream", name, jnp.zeros, shape, keys.dtype) for name in ("keys", "values")]
            count = self.variable("stream", "count", jnp.zeros, (), jnp.int32)
        steps = jnp.arange(time) + (count.value if streaming else 0)
        turn = rotations(steps, width, self.period)
        queries, keys = rotate(queries, *turn), rotate(keys, *turn)
        pieces = [(keys, values, steps)]
        if streaming:
            pieces.insert(0, (ring[0].value, ring[1].value, ring_frames(count.value, self.context, first=0)))
        if not streaming and _is_long(time, self.context):
            mixed = attend_blocks(queries, keys, values, self.context)
        else:
            mixed = attend(queries, steps, pieces, self.context - 1, first=0)
        if streaming:
            slots = jnp.mod(steps[-self.context :], self.context)
            for stored, new in zip(ring, (keys, values), strict=True):
                stored.value = stored.value.at[:, :, slots].set(new[:, :, -self.context :])
            count.value = count.value + time
        return jnp.moveaxis(mixed, 1, 2).reshape(batch, time, dim) @ out_kernel


class RotaryLayer(nn.Module):
    """y + scale dense(gelu(dense(norm(y)))) with y = x + scale attention(norm(x))."""

    heads: int
    hidden: int
    context: int
    period: float
    scale: float  # initial value of both scales
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dim = x.shape[-1]
        scales = [
            self.param(name, nn.initializers.constant(self.scale), (dim,)).astype(x.dtype)
            for name in ("attention_scale", "dense_scale")
        ]
        attention = RotaryAttention(self.heads, self.context, self.period, self.dtype, name="attention")
        x = x + scales[0] * attention(norm("norm1", self.dtype)(x)).astype(x.dtype)
        y = nn.Dense(self.hidden, use_bias=False, kernel_init=uniform(dim), dtype=self.dtype, name="dense1")(
            norm("norm2", self.dtype)(x)
        )
        y = nn.Dense(dim, use_bias=False, kernel_init=uniform(self.hidden), dtype=self.dtype, name="dense2")(
            nn.gelu(y, approximate=False)
        )
        return x + scales[1] * y.astype(x.dtype)


class RotaryTransformer(nn.Module):
    """A stack of layers, x [batch, time, dim] to the same shape."""

    layers: int
    heads: int
    hidden: int
    context: int  # steps that a step attends to, including itself
    period: float
    scale: float
    dtype: jnp.dtype | None = None
    remat: bool = False  # recompute activations inside layers in the backward pass

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kind = nn.remat(RotaryLayer) if self.remat else RotaryLayer
        layer = functools.partial(kind, self.heads, self.hidden, self.context, self.period, self.scale, self.dtype)
        return through_layers(self, layer, self.layers, x)
