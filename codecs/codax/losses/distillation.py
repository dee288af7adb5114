"""Semantic distillation (SpeechTokenizer, arXiv 2308.16692, section 3.2): the first quantizer follows a teacher."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def cosine(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """Cosine of the angle between vectors along an axis; 0 where one of them is 0."""
    product = jnp.sum(a * b, axis=axis)
    squares = jnp.sum(a * a, axis=axis) * jnp.sum(b * b, axis=axis)
    return product * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))


def distillation(student: jax.Array, teacher: jax.Array, form: str) -> jax.Array:
    """The loss of `loss.distillation_form`.

    Args:
      student, teacher: features [batch, frames, channels]; surplus frames at the end of one are left out.
      form: "d_axis": -log sigmoid of the cosine along time, mean over channels (equation 1); "t_axis": -log sigmoid of
        the cosine along channels plus the mean absolute difference, means over frames (equation 2).

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
