"""Codebook mathematics as plain functions: search, k-means, EMA update, revival of dead entries.

All computation is float32, whatever the network's type. A stack of codebooks is [levels, entries, dimension]. With data
parallelism, functions take the name of the mapped `axis`: they add counts and sums over it and draw random frames from
the global batch, so that every replica has the same codebooks and n devices give the same result as one.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from codax.runtime.platforms import platform

Search = Callable[[jax.Array, jax.Array], jax.Array]  # vectors [n, dimension] and entries to indices [n]
HARDLY_USED = 0.01  # share of a level's mean running count; at a decay of 0.99, less than one use in about 100 steps


@flax.struct.dataclass
class CodebookState:
    """EMAs of a stack of codebooks; the embedding is `total / smoothed count`."""

    embedding: jax.Array  # [levels, entries, dimension]
    total: jax.Array  # [levels, entries, dimension], running sum of the vectors assigned to each entry
    count: jax.Array  # [levels, entries], running number of vectors assigned per step


def nearest(x: jax.Array, embedding: jax.Array) -> jax.Array:
    """Index of the nearest entry by Euclidean distance: [n, dimension], [entries, dimension] -> int32 [n]."""
    half_norms = 0.5 * jnp.sum(embedding**2, axis=-1)
    products = jnp.matmul(x, embedding.T, precision=jax.lax.Precision.HIGHEST)
    return first_largest(products - half_norms)


def first_largest(scores: jax.Array) -> jax.Array:
    """Index of the largest score, the first of equal ones: [n, entries] -> int32 [n].

    On the CPU, two plain reductions are much faster than `argmax`, a reduction of pairs.
    """
    if platform() != "cpu":
        return jnp.argmax(scores, axis=-1).astype(jnp.int32)
    entries = scores.shape[-1]
    index = jnp.arange(entries, dtype=jnp.int32)
    # NaN equals nothing: clamp to a valid index, as argmax does.
    largest = jnp.where(scores == jnp.max(scores, axis=-1, keepdims=True), index, entries)
    return jnp.minimum(jnp.min(largest, axis=-1), entries - 1)


def nearest_direction(x: jax.Array, embedding: jax.Array) -> jax.Array:
    """Index of the entry at the smallest angle: [n, dimension], [entries, dimension] -> int32 [n]."""
    norms = jnp.linalg.norm(embedding, axis=-1, keepdims=True)
    directions = embedding / jnp.maximum(norms, 1e-12)
    return first_largest(jnp.matmul(x, directions.T, precision=jax.lax.Precision.HIGHEST))


def assignment_statistics(
    x: jax.Array, codes: jax.Array, weight: jax.Array, entries: int
) -> tuple[jax.Array, jax.Array]:
    """Weighted count [entries] and sum [entries, dimension] of the vectors x [n, dimension] assigned to each entry.

    A scatter is fast on the CPU; on accelerators, the one-hot product is faster, and deterministic.
    """
    weighted = x * weight[:, None]
    if platform() == "cpu":
        return (
            jax.ops.segment_sum(weight, codes, num_segments=entries),
            jax.ops.segment_sum(weighted, codes, num_segments=entries),
        )
    one_hot = jax.nn.one_hot(codes, entries, dtype=x.dtype)
    total = jnp.matmul(one_hot.T, weighted, precision=jax.lax.Precision.HIGHEST)
    return weight @ one_hot, total


def all_sum(tree, axis: str | None):
    """Sums over the mapped axis; without an axis, returns the tree unchanged."""
    return tree if axis is None else jax.lax.psum(tree, axis)


def global_frames(x: jax.Array, key: jax.Array, draws: int, axis: str | None, half: jax.Array | None = None):
    """Draws frames uniformly from the global batch, with replacement.

    Args:
      x: [levels, n, dimension], this replica's frames in batch order.
      key: random key, the same on every replica.
      draws: number of frames.
      axis: mapped axis or None.
      half: int32 scalar, 0 or 1: draw only frames with even or odd indices.

    Returns:
      [levels, draws, dimension], equal on every replica: the sum over replicas of the frames that each one holds.
    """
    n = x.shape[1]
    size = n if axis is None else n * jax.lax.axis_size(axis)
    if half is None or size < 2:
        index = jax.random.randint(key, (draws,), 0, size)
    else:
        index = 2 * jax.random.randint(key, (draws,), 0, size // 2) + half
    if axis is None:
        return x[:, index]
    index = index - jax.lax.axis_index(axis) * n
    mine = (index >= 0) & (index < n)
    return jax.lax.psum(jnp.where(mine[None, :, None], x[:, jnp.clip(index, 0, n - 1)], 0.0), axis)


def kmeans(
    x: jax.Array,
    key: jax.Array,
    entries: int,
    iterations: int,
    axis: str | None,
    half: jax.Array | None = None,
    search: Search = nearest,
) -> tuple[jax.Array, jax.Array]:
    """Lloyd's k-means over the global batch, starting at random frames.

    Args:
      x: [n, dimension].
      half: as in `global_frames`; the other half of the frames is ignored.
      search: finds each frame's centroid.

    Returns:
      Centroids [entries, dimension] and the number of frames of each [entries]. A centroid without frames does not
      move.
    """
    start = global_frames(x[None], key, entries, axis, half)[0]
    weight = jnp.ones(x.shape[0], x.dtype)
    if half is not None:
        first = 0 if axis is None else jax.lax.axis_index(axis) * x.shape[0]
        weight = ((first + jnp.arange(x.shape[0])) % 2 == half).astype(x.dtype)

    def step(carry, _):
        centroids, _ = carry
        count, total = all_sum(assignment_statistics(x, search(x, centroids), weight, entries), axis)
        moved = total / jnp.maximum(count, 1.0)[:, None]
        return (jnp.where(count[:, None] > 0, moved, centroids), count), None

    (centroids, count), _ = jax.lax.scan(step, (start, jnp.zeros(entries, x.dtype)), length=iterations)
    return centroids, count


def moving_average(
    state: CodebookState, count: jax.Array, total: jax.Array, *, decay: float, epsilon: float, smoothing: bool = True
) -> CodebookState:
    """Updates the codebooks by EMA (van den Oord et al., 2017, appendix A.1) from global statistics.

    Args:
      count: [levels, entries], number of vectors assigned in this step over all replicas.
      total: [levels, entries, dimension], their sum.
      smoothing: apply Laplace smoothing with `epsilon` to the counts before the division.
    """
    new_count = decay * state.count + (1 - decay) * count
    new_total = decay * state.total + (1 - decay) * total
    entries = new_count.shape[-1]
    used = jnp.sum(new_count, axis=-1, keepdims=True)
    smoothed = (new_count + epsilon) / (used + entries * epsilon) * used if smoothing else new_count
    embedding = new_total / jnp.maximum(smoothed, epsilon)[..., None]
    # A level that quantizer dropout has never used keeps its embedding.
    embedding = jnp.where(used[..., None] > 0, embedding, state.embedding)
    return CodebookState(embedding=embedding, total=new_total, count=new_count)


def revive_dead(
    state: CodebookState,
    frames: jax.Array,
    *,
    threshold: float,
    ratio: float = 0.0,
    enabled: jax.Array | bool = True,
) -> tuple[CodebookState, jax.Array]:
    """Replaces every dead entry by a frame of the batch.

    Embedding, running sum and running count are reset together; otherwise the next EMA update would undo the
    replacement. The entry's count restarts at the mean of its level, or at twice the threshold if that is larger, so
    that the entry does not die again at once.

    Args:
      frames: [levels, entries, dimension] candidate frames, the same on every replica.
      threshold: running count below which an entry is dead.
      ratio: if positive, the threshold is this share of the level's mean count instead.
      enabled: scalar bool; if false, no entry is replaced.

    Returns:
      The state, and the number of replaced entries [levels].
    """
    mean = jnp.mean(state.count, axis=-1, keepdims=True)
    limit = ratio * mean if ratio > 0 else jnp.full_like(mean, threshold)
    dead = (state.count < limit) & jnp.asarray(enabled)
    count = jnp.where(dead, jnp.maximum(mean, 2 * limit), state.count)
    revived = CodebookState(
        embedding=jnp.where(dead[..., None], frames, state.embedding),
        total=jnp.where(dead[..., None], frames * count[..., None], state.total),
        count=count,
    )
    return revived, jnp.sum(dead, axis=-1)


def usage(count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Perplexity and share of used entries per level, from counts [levels, entries] -> ([levels], [levels])."""
    p = count / jnp.maximum(jnp.sum(count, axis=-1, keepdims=True), 1e-9)
    entropy = -jnp.sum(p * jnp.log(jnp.maximum(p, 1e-12)), axis=-1)
    return jnp.exp(entropy), jnp.mean(count > 0, axis=-1)


def use_metrics(count: jax.Array, running: jax.Array) -> dict[str, jax.Array]:
    """Measures the use of a stack of codebooks; every value is [levels].

    Args:
      count: [levels, entries], number of vectors assigned in this step over all replicas.
      running: [levels, entries], the EMA of these counts.

    Returns:
      "perplexity" and "used" as in `usage`; "coverage", the number of used entries divided by its expectation for n
      vectors and K equally likely entries, K (1 - (1 - 1 / K)^n) (unlike "used", it depends on neither batch size nor
      dropout; NaN for a level without vectors); "dead_share", the share of entries whose running count is below
      `HARDLY_USED`.
    """
    perplexity, used = usage(count)
    vectors = jnp.sum(count, axis=-1)
    expected = -jnp.expm1(vectors * jnp.log1p(-1.0 / count.shape[-1]))
    coverage = jnp.where(vectors > 0, used / jnp.maximum(expected, 1e-9), jnp.nan)
    dead = jnp.mean(running < HARDLY_USED * jnp.mean(running, axis=-1, keepdims=True), axis=-1)
    return {"perplexity": perplexity, "used": used, "coverage": coverage, "dead_share": dead}
