"""Processes a batch in microbatches, so that the activations of only one are in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def split(tree: Any, count: int) -> Any:
    """Reshapes arrays [batch, ...] to [count, batch / count, ...], in the order of the batch.

    Raises:
      TypeError: `count` does not divide the batch.
    """
    return jax.tree.map(lambda x: x.reshape(count, x.shape[0] // count, *x.shape[1:]), tree)


def join(tree: Any) -> Any:
    """Inverts `split`."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def mean_value_and_grad(loss: Callable[..., Any], count: int, *, has_aux: bool = False) -> Callable[..., Any]:
    """Returns `jax.value_and_grad` of a loss that is a mean over examples, as the mean over microbatches.

    Args:
      loss: takes parameters and arrays [batch, ...].
      count: number of microbatches; 1 gives `jax.value_and_grad` unchanged.
      has_aux: whether the loss also returns a tree, which is averaged too.
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
    """Applies in microbatches a function that returns means over examples and the means' gradients [batch, ...].

    The means of the microbatches are averaged; the gradients are concatenated and divided by `count`, which makes them
    those of the average.
    """
    if count == 1:
        return function

    def mapped(*arrays: Any) -> tuple[Any, Any]:
        means, gradients = jax.lax.map(lambda piece: function(*piece), split(arrays, count))
        means = jax.tree.map(lambda x: x.mean(axis=0), means)
        return means, jax.tree.map(lambda x: x / count, join(gradients))

    return mapped
