"""Semantic distillation of a teacher into the first quantizer (SpeechTokenizer, arXiv 2308.16692, section 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def cosine(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """Cosine similarity of vectors along an axis; 0 if one of them is 0."""
    product = jnp.sum(a * b, axis=axis)
    squares = jnp.sum(a * a, axis=axis) * jnp.sum(b * b, axis=axis)
    return product * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))


def distillation(student: jax.Array, teacher: jax.Array, form: str) -> jax.Array:
    """Computes the loss that `loss.distillation_form` selects.

    Args:
      student, teacher: features [batch, frames, channels]; extra frames at the end of one are ignored.
      form: "d_axis": -log sigmoid of the cosine along time, mean over channels (equation 1); "t_axis": -log sigmoid of
        the cosine along channels plus the mean absolute difference, means over frames (equation 2); "cosine": 1 - the
        cosine along channels, mean over frames (Mimi).

    Returns:
      Scalar.
    """
    frames = min(student.shape[1], teacher.shape[1])
    a, b = (x[:, :frames].astype(jnp.float32) for x in (student, teacher))
    if form == "d_axis":
        return -jnp.mean(jax.nn.log_sigmoid(cosine(a, b, axis=1)))
    if form == "cosine":
        return 1 - jnp.mean(cosine(a, b, axis=-1))
    return jnp.mean(jnp.abs(a - b)) - jnp.mean(jax.nn.log_sigmoid(cosine(a, b, axis=-1)))
