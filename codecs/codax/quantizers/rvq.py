"""Residual vector quantizer (SoundStream, section III-C): each level quantizes the residual of the previous levels."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from codax.config import EMAQuantizerConfig
from codax.quantizers import beam_search
from codax.quantizers import codebook as cb
from codax.quantizers.base import Description, Output
from codax.quantizers.gradients import GRADIENTS


def draw_levels(key: jax.Array, batch: int, levels: int, semantic: int = 0, share: float = 1.0) -> jax.Array:
    """Quantizer dropout: draws the number of levels of each example from [semantic + 1, levels]; int32 [batch].

    Only the first `share` of the batch, rounded down, draws; the other examples use all levels (as in DAC).
    """
    drawn = jax.random.randint(key, (batch,), semantic + 1, levels + 1)
    return jnp.where(jnp.arange(batch) < int(batch * share), drawn, levels)


def levels_in_use(levels: jax.Array, count: int, frames: int) -> jax.Array:
    """Returns 1 where a frame's example uses a level, else 0: [count, batch * frames] from `levels` [batch]."""
    used = (levels[None, :] > jnp.arange(count)[:, None]).astype(jnp.float32)
    return jnp.repeat(used, frames, axis=1)


def search_of(config: EMAQuantizerConfig) -> cb.Search:
    """Returns the function with which a level finds a vector's entry."""
    return cb.nearest_direction if config.normalise else cb.nearest


def encode(x: jax.Array, embedding: jax.Array, search: cb.Search = cb.nearest) -> jax.Array:
    """Encodes vectors [n, dimension] with codebooks [levels, entries, dimension] to codes int32 [levels, n]."""

    def level(residual: jax.Array, entries: jax.Array):
        codes = search(residual, entries)
        return residual - entries[codes], codes

    return jax.lax.scan(level, x, embedding)[1]


def initialise(
    x: jax.Array, key: jax.Array, levels: int, config: EMAQuantizerConfig, axis: str | None
) -> cb.CodebookState:
    """Initialises the codebooks by k-means, level by level, on the vectors x [n, dimension].

    With `kmeans_alternate`, even and odd levels use even and odd frames. If a level has an entry for every frame, its
    residuals are 0, and the next level cannot learn from them.
    """
    entries, iterations, search = config.codebook_size, config.kmeans_iterations, search_of(config)

    def level(residual: jax.Array, inputs: tuple[jax.Array, jax.Array]):
        level_key, number = inputs
        half = number % 2 if config.kmeans_alternate else None
        centroids, count = cb.kmeans(residual, level_key, entries, iterations, axis, half, search)
        return residual - centroids[search(residual, centroids)], (centroids, count)

    inputs = (jax.random.split(key, levels), jnp.arange(levels))
    _, (centroids, count) = jax.lax.scan(level, x, inputs)
    # An entry without frames starts at the mean count, so that it is not dead at once.
    count = jnp.maximum(count, jnp.mean(count, axis=-1, keepdims=True))
    return cb.CodebookState(embedding=centroids, total=centroids * count[..., None], count=count)


@flax.struct.dataclass
class Quantized:
    """The output of `quantize` for n vectors."""

    codes: jax.Array  # int32 [levels, n]
    parts: jax.Array  # [levels, n, dimension], each level's output; 0 if the level is not used
    errors: jax.Array  # [levels, n], mean squared error; 0 if the level is not used
    residuals: jax.Array  # [levels, n, dimension], each level's input; without gradient


def quantize(x: jax.Array, embedding: jax.Array, used: jax.Array, search: cb.Search = cb.nearest) -> Quantized:
    """Quantizes the vectors x [n, dimension]; used [levels, n] is 1 where a vector uses a level, else 0."""

    def level(residual: jax.Array, inputs):
        entries, weight = inputs
        codes = search(jax.lax.stop_gradient(residual), entries)
        # Detached at every level: the gradient of each commitment term reaches x once, directly.
        quantized = jax.lax.stop_gradient(entries[codes])
        error = jnp.mean((residual - quantized) ** 2, axis=-1)
        return residual - quantized, (codes, quantized * weight[:, None], error * weight, residual)

    _, (codes, parts, errors, residuals) = jax.lax.scan(level, x, (jax.lax.stop_gradient(embedding), used))
    return Quantized(codes, parts, errors, jax.lax.stop_gradient(residuals))


def joined(parts: Sequence[Any]) -> Any:
    """Concatenates trees of arrays [levels, ...]."""
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *x: jnp.concatenate(x), *parts)


class ResidualVectorQuantizer(nn.Module):
    """Stack of codebooks in the `codebook` collection, updated by EMA instead of gradients.

    `EMAQuantizerConfig.semantic` splits the quantizer as in Mimi (arXiv 2410.00037, section 3.3.2): the first levels
    and the others are two stacks with the same input, and their outputs are added. With `projection`, each stack
    quantizes between two trained linear maps. With `normalise`, entries are searched by angle (as in arXiv 2110.04627
    and 2306.06546); they remain means of vectors, whose lengths reduce the residual. `gradient` names the estimator
    from the sum of a stack's levels to its input.
    """

    config: EMAQuantizerConfig
    dimension: int

    def setup(self) -> None:
        c, shape = self.config, self._shape()
        inner = shape[-1]
        self.embedding = self.variable("codebook", "embedding", jnp.zeros, shape)
        # Coding does not need the running sums of training.
        if self.is_mutable_collection("codebook") or self.has_variable("codebook", "total"):
            self.total = self.variable("codebook", "total", jnp.zeros, shape)
        self.count = self.variable("codebook", "count", jnp.zeros, shape[:2])
        self.initialised = self.variable("codebook", "initialised", jnp.zeros, (), jnp.bool_)
        bounds = {"semantic": (0, c.semantic), "acoustic": (c.semantic, c.num_quantizers)}
        self.stacks = {name: slice(*ends) for name, ends in bounds.items() if ends[0] < ends[1]}
        if c.projection:
            dense = functools.partial(nn.Dense, use_bias=False, precision=jax.lax.Precision.HIGHEST)
            self.inward = {name: dense(inner) for name in self.stacks}
            self.outward = {name: dense(self.dimension) for name in self.stacks}

    @nn.nowrap
    def _shape(self) -> tuple[int, int, int]:
        """Returns the shape of the codebooks, [levels, entries, inner dimension]."""
        c = self.config
        return c.num_quantizers, c.codebook_size, c.projection or self.dimension

    @nn.nowrap
    def random_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns a `codebook` collection of random entries."""
        entries = rng.standard_normal(self._shape()).astype(np.float32)
        count = np.ones(self._shape()[:2], np.float32)
        return {"embedding": entries, "total": entries, "count": count, "initialised": np.ones((), np.bool_)}

    @nn.nowrap
    def describe(self) -> Description:
        return Description(math.prod(self._shape()), "by k-means", training_only=("total",))

    def _projected(self, x: jax.Array) -> Iterator[tuple[str, slice, jax.Array]]:
        """Yields every stack's name, levels and input, float32 [batch * frames, inner dimension]."""
        x = x.astype(jnp.float32)
        for name, levels in self.stacks.items():
            inner = self.inward[name](x) if self.config.projection else x
            yield name, levels, inner.reshape(-1, inner.shape[-1])

    def _back(self, name: str, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Maps a stack's output [batch * frames, inner dimension] to [batch, frames, dimension]."""
        x = x.reshape(*shape[:2], -1)
        return self.outward[name](x) if self.config.projection else x

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """[batch, frames, dimension] -> int32 codes [batch, frames, num_quantizers]."""
        c, books = self.config, self.embedding.value[:num_quantizers]

        def coded(x: jax.Array, embedding: jax.Array) -> jax.Array:
            if c.beam > 1 and len(embedding) > 1:
                return beam_search.encode(x, embedding, c.beam)
            return encode(x, embedding, search_of(c))

        codes = joined([coded(inner, books[levels]) for _, levels, inner in self._projected(x)])
        return jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1)

    def decode(self, codes: jax.Array) -> jax.Array:
        """Codes [batch, frames, n] with n up to the number of levels -> [batch, frames, dimension]."""
        return self._summed(codes, self.embedding.value)

    def decode_any(self, codes: jax.Array) -> jax.Array:
        """`decode`, where n may be symbolic: missing levels select a zero entry appended to their codebook."""
        c = self.config
        books = jnp.pad(self.embedding.value, ((0, 0), (0, 1), (0, 0)))
        missing = c.num_quantizers - codes.shape[2]
        codes = jnp.pad(codes, ((0, 0), (0, 0), (0, missing)), constant_values=c.codebook_size)
        return self._summed(codes, books)

    def _summed(self, codes: jax.Array, books: jax.Array) -> jax.Array:
        total = jnp.zeros(())
        for name, levels in self.stacks.items():
            first, last, _ = levels.indices(codes.shape[-1])
            if first < last:
                vectors = books[jnp.arange(first, last), codes[..., levels]]
                total = total + self._back(name, jnp.sum(vectors, axis=-2), codes.shape)
        return total

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Runs k-means level by level on frames x [batch, frames, dimension]; needs `codebook` mutable."""
        c = self.config
        states = []
        for number, (_, levels, inner) in enumerate(self._projected(x)):
            stack_key = jax.random.fold_in(key, number) if number else key
            states.append(initialise(inner, stack_key, levels.stop - levels.start, c, axis))
        self._set(joined(states))
        self.initialised.value = jnp.ones((), jnp.bool_)

    def _set(self, state: cb.CodebookState) -> None:
        self.embedding.value, self.total.value, self.count.value = state.embedding, state.total, state.count

    def __call__(
        self,
        x: jax.Array,
        *,
        levels: jax.Array,
        key: jax.Array,
        update: bool,
        axis: str | None = None,
        bypass: jax.Array | None = None,
        revive: jax.Array | bool = True,
    ) -> Output:
        """Quantizes; `update` moves the codebooks.

        Args:
          x: [batch, frames, dimension].
          levels: int32 [batch], the number of levels that each example uses.
          key: random key for the revival of dead entries, the same on every replica.
          update: change the codebooks (the `codebook` collection must be mutable).
          axis: mapped axis of data parallelism.
          bypass: bool [batch], examples whose output is not quantized; the codebooks still learn from them.
          revive: replace dead entries in this step.
        """
        c = self.config
        frames = x.shape[1]
        used = levels_in_use(levels, c.num_quantizers, frames)
        per_frame = 1.0 / jnp.repeat(levels, frames)

        stacks, quantized, firsts = [], jnp.zeros(()), {}
        for name, stack, inner in self._projected(x):
            q = quantize(inner, self.embedding.value[stack], used[stack], search_of(c))
            carry = GRADIENTS[c.gradient]
            whole = carry(inner, jnp.sum(q.parts, axis=0))
            if bypass is not None:
                whole = jnp.where(jnp.repeat(bypass, frames)[:, None], inner, whole)
            quantized = quantized + self._back(name, whole, x.shape)
            firsts[name] = carry(inner, q.parts[0])
            stacks.append(q)
        q = joined(stacks)
        # Mean over an example's levels, then over frames, so that the mean over replicas is the global mean.
        commitment = jnp.mean(jnp.sum(q.errors, axis=0) * per_frame)

        count, total = jax.vmap(lambda r, k, w: cb.assignment_statistics(r, k, w, c.codebook_size))(
            q.residuals, q.codes, used
        )
        count, total = cb.all_sum((count, total), axis)
        state = cb.CodebookState(self.embedding.value, self.total.value, self.count.value)
        if update:
            state = cb.moving_average(state, count, total, decay=c.decay, epsilon=c.epsilon, smoothing=c.smoothing)
        metrics = cb.use_metrics(count, state.count)
        if update:
            candidates = cb.global_frames(q.residuals, key, c.codebook_size, axis)
            state, dead = cb.revive_dead(
                state, candidates, threshold=c.dead_threshold, ratio=c.dead_ratio, enabled=revive
            )
            self._set(state)
            metrics["dead"] = dead.astype(jnp.float32)
        name = next(iter(firsts))
        return Output(
            quantized=quantized.astype(x.dtype),
            first=self._back(name, firsts[name], x.shape).astype(x.dtype),
            codes=jnp.moveaxis(q.codes, 0, -1).reshape(*x.shape[:2], -1),
            commitment=commitment,
            metrics=metrics,
        )
