"""Neural network arithmetic in integers: bit-identical on every machine, for every order of additions.

An integer represents value / 2**exponent. Sums of products are float32 matrix products whose terms and partial sums are
integers below 2**24, which float32 represents exactly, so that neither the order of additions nor fused operations
change a bit. Everything else is int32 addition, multiplication, floor division, shift and table look-up, which are
identical on all backends. Tables and weights are computed once (`lm.quantize`) and stored, because implementations of
exp differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

EXACT = 1 << 24  # float32 represents integers up to this exactly
LARGEST = 2047  # magnitude of an activation that enters a matrix product
LARGEST_QUERY = 511  # magnitude of queries and keys, whose products are products of two activations
FRACTION = 8  # exponent of the input of `exp2`
EXP2_BITS = 15  # exponent of the output of `exp2`
WEIGHT_BITS = 12  # attention weights sum to about 1 << WEIGHT_BITS


def clip(x: jax.Array, largest: int = LARGEST) -> jax.Array:
    return jnp.clip(x, -largest, largest)


def shift(x: jax.Array, bits: jax.Array | int) -> jax.Array:
    """x / 2**bits, rounded half up; `bits` >= 0."""
    half = jnp.left_shift(jnp.ones_like(x), bits) >> 1
    return jnp.right_shift(x + half, bits)


def dot(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """An einsum of integers, int32; exact if no partial sum of magnitudes exceeds `EXACT`."""
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
      x: at most `LARGEST` in magnitude.
      kernel: [parts, in / parts, out], or a sequence of the parts; the magnitudes in a column of a part sum to at most
        EXACT / LARGEST.
      bias: int32 [out], with the exponent of the products.
      places: int32 [out], number of bits by which the products are shifted to the exponent of the result.
    """
    pieces = len(kernel)
    rows = x.reshape(-1, pieces, x.shape[-1] // pieces)
    total = bias
    for piece in range(pieces):  # one at a time: XLA has no fast batched product
        total = total + dot("ri,io->ro", rows[:, piece], kernel[piece])
    return shift(total, places).reshape(*x.shape[:-1], bias.shape[-1])


def square_root(x: jax.Array) -> jax.Array:
    """Floor of the square root of int32 >= 0: a float estimate, corrected with integers."""
    guess = jnp.sqrt(x.astype(jnp.float32)).astype(jnp.int32)
    guess = jnp.minimum(guess, 46340)  # largest integer whose square fits in int32
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
      scale: int32 [channels]: sqrt(channels) times the gain, with the exponent of the result.
      bias: int32 [channels], with the exponent of the result.

    Returns:
      int32, at most `LARGEST` in magnitude.
    """
    channels = x.shape[-1]
    centred = x - jnp.floor_divide(x.sum(axis=-1, keepdims=True) + channels // 2, channels)
    # Scaled to eleven bits, so that the sum of squares fits.
    largest = jnp.abs(centred).max(axis=-1, keepdims=True)
    bits = jnp.maximum(0, 21 - jax.lax.clz(largest))
    centred = shift(centred, bits)
    root = jnp.maximum(square_root(jnp.square(centred).sum(axis=-1, keepdims=True)), 1)
    return clip(jnp.floor_divide(2 * centred * scale + root, 2 * root) + bias)


def exp2(x: jax.Array, table: jax.Array) -> jax.Array:
    """2**(x / 2**FRACTION) for x <= 0, int32 with exponent EXP2_BITS; `table` has one entry per fraction."""
    whole, fraction = jnp.right_shift(x, FRACTION), jnp.bitwise_and(x, (1 << FRACTION) - 1)
    return jnp.right_shift(table[fraction], jnp.minimum(-whole, 31))


def attention_weights(scores: jax.Array, seen: jax.Array, table: jax.Array) -> jax.Array:
    """Base-2 softmax over the last axis, of int32 with exponent FRACTION, over the keys where `seen` is true.

    Returns:
      int32 that sum to 1 << WEIGHT_BITS, up to a rounding error of half the number of keys.
    """
    lowest = jnp.iinfo(jnp.int32).min // 4
    scores = jnp.where(seen, scores, lowest)
    powers = jnp.where(seen, exp2(scores - scores.max(axis=-1, keepdims=True), table), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return jnp.floor_divide((powers << WEIGHT_BITS) + (total >> 1), total)
