"""Distance of a frozen teacher's features of reconstruction and original (JHCodec, arXiv 2603.05887)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from codax.losses.distillation import cosine


def distance(target: Sequence[jax.Array], estimate: Sequence[jax.Array], form: str) -> jax.Array:
    """Computes the loss that `loss.self_supervised_form` selects, a mean over layers and examples.

    Args:
      target: features of the original, float32 [batch, frames, channels] of each layer; they get no gradient.
      estimate: those of the reconstruction.
      form: "l1" and "l2" are the mean absolute and squared difference of an example, divided by the mean magnitude or
        square of the original's features; "cosine" is 1 - the cosine along channels, a mean over frames.

    Returns:
      Scalar.
    """

    def of_layer(a: jax.Array, b: jax.Array) -> jax.Array:
        a = jax.lax.stop_gradient(a)
        if form == "cosine":
            return 1 - jnp.mean(cosine(a, b, axis=-1))
        size = jnp.abs if form == "l1" else jnp.square
        difference, magnitude = (jnp.mean(size(x), axis=(1, 2)) for x in (a - b, a))
        return jnp.mean(difference / jnp.maximum(magnitude, 1e-6))

    return sum((of_layer(a, b) for a, b in zip(target, estimate, strict=True)), jnp.zeros(())) / len(target)
