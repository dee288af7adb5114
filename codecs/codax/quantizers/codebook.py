"""Codebook mathematics as plain functions: search, k-means, moving-average update, revival of dead entries.

All of it runs in float32 whatever the network computes in. A stack of codebooks is [levels, entries, dimension]. Under
data parallelism every function takes the mapped `axis` name: counts and sums are added over it and random frames are
drawn from the global batch, so that every replica holds the same codebooks and n devices give what one device gives.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from codax.runtime.platforms import platform

Search = Callable[[jax.Array, jax.Array], jax.Array]  # vectors [n, dimension] and entries to indices [n]
HARDLY_USED = 0.01  # of a level's mean running count: with a decay of 0.99, less than one use in about 100 steps


@flax.struct.dataclass
class CodebookState:
    """Moving averages behind a stack of codebooks; the embedding is `total / smoothed count`."""

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

    Two plain reductions are much quicker than one of pairs on the CPU, which `argmax` is.
    """
    if platform() != "cpu":
        return jnp.argmax(scores, axis=-1).astype(jnp.int32)
    entries = scores.shape[-1]
    index = jnp.arange(entries, dtype=jnp.int32)
    # NaN equals nothing: clamp to a valid index, as argmax does.
    largest = jnp.where(scores == jnp.max(scores, axis=-1, keepdims=True), index, entries)
    return jnp.minimum(jnp.min(largest, axis=-1), entries - 1)


def nearest_direction(x: jax.Array, embedding: jax.Array) -> jax.Array:
    """Index of the entry of the smallest angle: [n, dimension], [entries, dimension] -> int32 [n]."""
    norms = jnp.linalg.norm(embedding, axis=-1, keepdims=True)
    directions = embedding / jnp.maximum(norms, 1e-12)
    return first_largest(jnp.matmul(x, directions.T, precision=jax.lax.Precision.HIGHEST))


def assignment_statistics(
    x: jax.Array, codes: jax.Array, weight: jax.Array, entries: int
) -> tuple[jax.Array, jax.Array]:
    """Weighted number [entries] and sum [entries, dimension] of the vectors x [n, dimension] given to each entry.

    A scatter is quick on the CPU; on accelerators the one-hot product is both quicker and deterministic.
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
    """Adds over the mapped axis, or returns the tree itself without one."""
    return tree if axis is None else jax.lax.psum(tree, axis)


def global_frames(x: jax.Array, key: jax.Array, draws: int, axis: str | None, half: jax.Array | None = None):
    """Draws frames, with replacement, uniformly from the global batch.

    Args:
      x: [levels, n, dimension], this replica's frames in batch order.
      key: the same key on every replica.
      draws: number of frames.
      axis: mapped axis or None.
      half: int32 scalar, 0 or 1: draw only from the frames with even or with odd numbers.

    Returns:
      [levels, draws, dimension], equal on every replica: each replica gives the frames it holds, and a sum joins them.
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
    """Lloyd's k-means over the global batch, started from random frames.

    Args:
      x: [n, dimension].
      half: as in `global_frames`; the frames of the other half are left out.
      search: finds each frame's centroid.

    Returns:
      Centroids [entries, dimension] and the number of frames of each [entries]. A centroid without frames stays put.
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
    """One exponential-moving-average update (van den Oord et al., 2017, appendix A.1) from global statistics.

    Args:
      count: [levels, entries], vectors assigned in this step over all replicas.
      total: [levels, entries, dimension], their sum.
      smoothing: Laplace smoothing of the counts that the sums are divided by, with `epsilon`.
    """
    new_count = decay * state.count + (1 - decay) * count
    new_total = decay * state.total + (1 - decay) * total
    entries = new_count.shape[-1]
    used = jnp.sum(new_count, axis=-1, keepdims=True)
    smoothed = (new_count + epsilon) / (used + entries * epsilon) * used if smoothing else new_count
    embedding = new_total / jnp.maximum(smoothed, epsilon)[..., None]
    # A level that has never been used (quantizer dropout) keeps its embedding.
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

    Embedding, running sum and running count are all reset, else the next moving average would undo it. The entry
    restarts at the mean count of its level, or at twice the threshold where that is more, to give it time.

    Args:
      frames: [levels, entries, dimension] candidate frames, the same on every replica.
      threshold: running count below which an entry is dead.
      ratio: if positive, the threshold is this share of the level's mean count instead.
      enabled: scalar bool; without it nothing is replaced.

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
    """How a stack of codebooks is used, each [levels].

    Args:
      count: [levels, entries], vectors assigned in this step over all replicas.
      running: [levels, entries], the moving average of these counts.

    Returns:
      "perplexity" and "used" as in `usage`; "coverage", the number of entries used divided by the number that as many
      vectors would be expected to use if all entries were equally likely, K (1 - (1 - 1 / K)^n), which depends on
      neither batch nor dropout as `used` does (NaN where the level had no vectors); "dead_share", the share of entries
      that are hardly used any more.
    """
    perplexity, used = usage(count)
    vectors = jnp.sum(count, axis=-1)
    expected = -jnp.expm1(vectors * jnp.log1p(-1.0 / count.shape[-1]))
    coverage = jnp.where(vectors > 0, used / jnp.maximum(expected, 1e-9), jnp.nan)
    dead = jnp.mean(running < HARDLY_USED * jnp.mean(running, axis=-1, keepdims=True), axis=-1)
    return {"perplexity": perplexity, "used": used, "coverage": coverage, "dead_share": dead}
