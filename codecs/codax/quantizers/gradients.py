"""Gradient estimators for the selection of an entry, which has no gradient.

Both functions return the quantized vectors, float32 [..., dimension]; they differ only in the gradient to `x`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

_TINY = 1e-6  # shorter vectors have no direction


def straight_through(x: jax.Array, quantized: jax.Array) -> jax.Array:
    """Copies the gradient of the output to the input (Bengio et al., arXiv 1308.3432)."""
    return x + jax.lax.stop_gradient(quantized - x)


def rotation(x: jax.Array, quantized: jax.Array) -> jax.Array:
    """Applies the rotation trick (Fifty et al., arXiv 2410.06424, equation 4 and section 4.2).

    quantized = (|q| / |x|) R x, where R rotates x's direction a to q's direction b in the plane of both,
    R = I - 2 r r' + 2 b a' with r = (a + b) / |a + b|. R and the ratio are constants to the gradient, which therefore
    has the same angle to the input as to the output. The gradient is straight-through if a vector has length 0 or the
    directions are opposite, since R is then not defined.
    """
    detached = jax.lax.stop_gradient
    lengths = [jnp.linalg.norm(detached(v), axis=-1, keepdims=True) for v in (x, quantized)]
    a, b = (detached(v) / jnp.maximum(n, _TINY) for v, n in zip((x, quantized), lengths, strict=True))
    middle = jnp.linalg.norm(a + b, axis=-1, keepdims=True)
    r = (a + b) / jnp.maximum(middle, _TINY)
    turned = x - 2 * _dot(x, r) * r + 2 * _dot(x, a) * b
    scaled = turned * (lengths[1] / jnp.maximum(lengths[0], _TINY))
    defined = jnp.minimum(jnp.minimum(*lengths), middle) > _TINY
    # The value equals the decoder's exactly, without the rounding errors of the rotation.
    return straight_through(jnp.where(defined, scaled, x), quantized)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


GRADIENTS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "straight_through": straight_through,
    "rotation": rotation,
}
