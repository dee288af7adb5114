"""How a gradient comes back through the choice of an entry, which has none of its own.

Both functions return the quantized vectors, float32 [..., dimension], and differ in what they say of their input alone.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

_TINY = 1e-6  # lengths below have no direction


def straight_through(x: jax.Array, quantized: jax.Array) -> jax.Array:
    """The gradient of the output is the gradient of the input (Bengio et al., arXiv 1308.3432)."""
    return x + jax.lax.stop_gradient(quantized - x)


def rotation(x: jax.Array, quantized: jax.Array) -> jax.Array:
    """The rotation trick (Fifty et al., arXiv 2410.06424, equation 4 and section 4.2).

    quantized = (|q| / |x|) R x, where R turns x's direction a into the direction b of q in the plane of both,
    R = I - 2 r r' + 2 b a' with r = (a + b) / |a + b|. R and the ratio are constants to the gradient, so that the angle
    between gradient and output is kept between gradient and input. Where a direction is missing (a vector of length 0)
    or the rotation is not defined (opposite directions), the gradient goes straight through.
    """
    detached = jax.lax.stop_gradient
    lengths = [jnp.linalg.norm(detached(v), axis=-1, keepdims=True) for v in (x, quantized)]
    a, b = (detached(v) / jnp.maximum(n, _TINY) for v, n in zip((x, quantized), lengths, strict=True))
    middle = jnp.linalg.norm(a + b, axis=-1, keepdims=True)
    r = (a + b) / jnp.maximum(middle, _TINY)
    turned = x - 2 * _dot(x, r) * r + 2 * _dot(x, a) * b
    scaled = turned * (lengths[1] / jnp.maximum(lengths[0], _TINY))
    defined = jnp.minimum(jnp.minimum(*lengths), middle) > _TINY
    # The value is exactly what decoding gives, without the rounding of the rotation.
    return straight_through(jnp.where(defined, scaled, x), quantized)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


GRADIENTS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "straight_through": straight_through,
    "rotation": rotation,
}
