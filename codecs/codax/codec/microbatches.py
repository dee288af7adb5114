"""A batch worked through in pieces, one after the other: the activations of one at a time are in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def split(tree: Any, count: int) -> Any:
    """Arrays [batch, ...] -> [count, batch / count, ...], in the order of the batch.

    Raises:
      TypeError: the batch cannot be cut into so many.
    """
    return jax.tree.map(lambda x: x.reshape(count, x.shape[0] // count, *x.shape[1:]), tree)


def join(tree: Any) -> Any:
    """The inverse of `split`."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def mean_value_and_grad(loss: Callable[..., Any], count: int, *, has_aux: bool = False) -> Callable[..., Any]:
    """`jax.value_and_grad` of a loss that is a mean over examples, as the mean over the pieces of the batch.

    Args:
      loss: takes parameters and arrays [batch, ...].
      count: pieces; with 1 it is `jax.value_and_grad` itself.
      has_aux: the loss returns a tree beside its value, which is averaged too.
    """
    whole = jax.value_and_grad(loss, has_aux=has_aux)
    if count == 1:
        return whole

    def mean(params: Any, *arrays: Any) -> Any:
        def add(total: Any, piece: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, whole(params, *piece)), None

        pieces = split(arrays, count)
        first = jax.tree.map(lambda x: x[0], pieces)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(whole, params, *first))
        total, _ = jax.lax.scan(add, zeros, pieces)
        return jax.tree.map(lambda x: x / count, total)

    return mean


def mean_and_joined(function: Callable[..., tuple[Any, Any]], count: int) -> Callable[..., tuple[Any, Any]]:
    """A function of arrays [batch, ...] that returns means over examples, and gradients of these means by example.

    The means of the pieces are averaged; the gradients [batch, ...] are put together and become those of the average.
    """
    if count == 1:
        return function

    def mapped(*arrays: Any) -> tuple[Any, Any]:
        means, gradients = jax.lax.map(lambda piece: function(*piece), split(arrays, count))
        means = jax.tree.map(lambda x: x.mean(axis=0), means)
        return means, jax.tree.map(lambda x: x / count, join(gradients))

    return mapped
