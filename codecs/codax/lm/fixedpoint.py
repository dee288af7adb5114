"""Neural arithmetic in integers: the same bits on every machine, in every order of additions.

Values are integers that stand for value / 2**exponent. Sums of products are taken by float32 matrix products whose
terms and partial sums are integers below 2**24: float32 holds these exactly, so neither the order of the additions nor
fused operations can change a bit. Everything else is int32 addition, multiplication, floor division, shift and table
look-up, which all backends do alike. Tables and weights are made once (`lm.quantize`) and stored: libraries differ in
exp.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

EXACT = 1 << 24  # integers up to here are exact in float32
LARGEST = 2047  # of an activation that goes into a matrix product
LARGEST_QUERY = 511  # of queries and keys, whose products are squares of activations
FRACTION = 8  # exponent of what `exp2` takes
EXP2_BITS = 15  # exponent of what it gives
WEIGHT_BITS = 12  # attention weights add up to about 1 << WEIGHT_BITS


def clip(x: jax.Array, largest: int = LARGEST) -> jax.Array:
    return jnp.clip(x, -largest, largest)


def shift(x: jax.Array, places: jax.Array | int) -> jax.Array:
    """x / 2**places, rounded half up; `places` >= 0."""
    half = jnp.left_shift(jnp.ones_like(x), places) >> 1
    return jnp.right_shift(x + half, places)


def dot(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """An einsum of integers to int32; exact where no partial sum of magnitudes leaves `EXACT`."""
    product = jnp.einsum(
        subscripts,
        a.astype(jnp.float32),
        b.astype(jnp.float32),
        precision="highest",
        preferred_element_type=jnp.float32,
    )
    return product.astype(jnp.int32)


def dense(x: jax.Array, kernel: jax.Array | Sequence[jax.Array], bias: jax.Array, places: jax.Array) -> jax.Array:
    """A dense layer, x int32 [..., in] to int32 [..., out].

    Args:
      x: at most `LARGEST`.
      kernel: [pieces, in / pieces, out], or a sequence of the pieces; no column of a piece has magnitudes of more than
        EXACT / LARGEST together.
      bias: int32 [out], with the exponent of the products.
      places: int32 [out], by how many bits products are finer than the result.
    """
    pieces = len(kernel)
    rows = x.reshape(-1, pieces, x.shape[-1] // pieces)
    total = bias
    for piece in range(pieces):  # one by one: the compiler has no quick product of stacks
        total = total + dot("ri,io->ro", rows[:, piece], kernel[piece])
    return shift(total, places).reshape(*x.shape[:-1], bias.shape[-1])


def square_root(x: jax.Array) -> jax.Array:
    """Floor of the root of int32 >= 0: a float guess, put right by integers."""
    guess = jnp.sqrt(x.astype(jnp.float32)).astype(jnp.int32)
    guess = jnp.minimum(guess, 46340)  # the largest whose square fits
    for _ in range(2):
        guess = guess - (guess * guess > x)
    for _ in range(2):
        above = jnp.minimum(guess + 1, 46340)
        guess = jnp.where(above * above <= x, above, guess)
    return guess


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Layer norm over the last axis, of int32 below 2**20 in magnitude.

    Args:
      x: [..., channels].
      scale: int32 [channels]: root of the channels times the gain, with the exponent of the result.
      bias: int32 [channels], with the exponent of the result.

    Returns:
      int32, at most `LARGEST`.
    """
    channels = x.shape[-1]
    centred = x - jnp.floor_divide(x.sum(axis=-1, keepdims=True) + channels // 2, channels)
    # Brought to eleven bits, so that the sum of squares fits.
    largest = jnp.abs(centred).max(axis=-1, keepdims=True)
    places = jnp.maximum(0, 21 - jax.lax.clz(largest))
    centred = shift(centred, places)
    root = jnp.maximum(square_root(jnp.square(centred).sum(axis=-1, keepdims=True)), 1)
    return clip(jnp.floor_divide(2 * centred * scale + root, 2 * root) + bias)


def exp2(x: jax.Array, table: jax.Array) -> jax.Array:
    """2**(x / 2**FRACTION) for x <= 0, int32 with exponent EXP2_BITS; `table` has one entry for each fraction."""
    whole, fraction = jnp.right_shift(x, FRACTION), jnp.bitwise_and(x, (1 << FRACTION) - 1)
    return jnp.right_shift(table[fraction], jnp.minimum(-whole, 31))


def attention_weights(scores: jax.Array, seen: jax.Array, table: jax.Array) -> jax.Array:
    """Softmax to the base 2 over the last axis, of int32 with exponent FRACTION, where `seen`.

    Returns:
      int32 that add up to 1 << WEIGHT_BITS, but for rounding: half of the number of keys at most.
    """
    lowest = jnp.iinfo(jnp.int32).min // 4
    scores = jnp.where(seen, scores, lowest)
    powers = jnp.where(seen, exp2(scores - scores.max(axis=-1, keepdims=True), table), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return jnp.floor_divide((powers << WEIGHT_BITS) + (total >> 1), total)
