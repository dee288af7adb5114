"""Beam search through the levels of a residual quantizer.

A level's nearest entry does not always lead to the smallest error after the later levels. The search therefore follows
`width` paths through the codebooks: each level extends every path by every entry and keeps the best paths. The decoder
does not change (Chen et al., "Approximate nearest neighbor search by residual vector quantization", Sensors 2010).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from codax.quantizers.codebook import first_largest


def encode(x: jax.Array, embedding: jax.Array, width: int) -> jax.Array:
    """Returns the codes of the path with the smallest squared error among those searched.

    Args:
      x: vectors [n, dimension].
      embedding: codebooks [levels, entries, dimension].
      width: number of paths to keep, 1 to the number of entries; 1 is `rvq.encode`.

    Returns:
      int32 [levels, n].
    """
    residuals, _, first = _grow(x[:, None], embedding[0], width)

    def level(residuals: jax.Array, entries: jax.Array):
        residuals, parents, codes = _grow(residuals, entries, width)
        return residuals, (parents, codes)

    _, (parents, codes) = jax.lax.scan(level, residuals, embedding[1:])

    def back(path: jax.Array, inputs: tuple[jax.Array, jax.Array]):
        parents, codes = inputs
        return _at(parents, path), _at(codes, path)

    # The last level's first path is its best; trace it back to the first level.
    path, later = jax.lax.scan(back, jnp.zeros_like(first[:, 0]), (parents, codes), reverse=True)
    return jnp.concatenate([_at(first, path)[None], later])


def _grow(residuals: jax.Array, entries: jax.Array, width: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Extends paths with residuals [n, paths, dimension] by a level, and keeps the `width` best, best first.

    Returns:
      Their residuals [n, width, dimension], the paths that they continue and their codes, both int32 [n, width].
    """
    count, paths, dimension = residuals.shape
    products = jnp.matmul(residuals.reshape(-1, dimension), entries.T, precision=jax.lax.Precision.HIGHEST)
    products = products.reshape(count, paths, len(entries)) - 0.5 * jnp.sum(entries**2, axis=-1)
    # Minus half the squared length, the score is minus half the squared error. It is constant for a single path.
    lengths = 0.5 * jnp.sum(residuals**2, axis=-1, keepdims=True) if paths > 1 else 0.0
    scores = (products - lengths).reshape(count, paths * len(entries))
    places = jnp.arange(scores.shape[1], dtype=jnp.int32)
    order = []
    for _ in range(width):
        order.append(first_largest(scores))
        scores = jnp.where(places == order[-1][:, None], -jnp.inf, scores)
    best = jnp.concatenate([index[:, None] for index in order], axis=1)
    parents, codes = best // len(entries), best % len(entries)
    # A masked sum over a few paths is faster than a gather, and every export format supports it.
    chosen = parents[:, :, None, None] == jnp.arange(paths)[:, None]
    kept = jnp.sum(jnp.where(chosen, residuals[:, None], 0.0), axis=2)
    return kept - entries[codes], parents, codes


def _at(values: jax.Array, path: jax.Array) -> jax.Array:
    """Returns values [n, paths] at path [n]."""
    return jnp.sum(jnp.where(path[:, None] == jnp.arange(values.shape[1]), values, 0), axis=1)
