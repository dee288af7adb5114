"""Residual vector quantizer (SoundStream, section III-C): each level quantizes what the levels before it left over."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from codax.config import QuantizerConfig
from codax.quantizers import codebook as cb


@flax.struct.dataclass
class QuantizerOutput:
    """What quantization returns in training."""

    quantized: jax.Array  # [batch, frames, dimension]; straight-through gradient to the input
    first: jax.Array  # [batch, frames, dimension], of the first level alone; straight-through too
    codes: jax.Array  # int32 [batch, frames, levels]
    commitment: jax.Array  # scalar
    metrics: dict[str, jax.Array]  # per level: perplexity, used share, dead entries replaced


def draw_levels(key: jax.Array, batch: int, levels: int) -> jax.Array:
    """Quantizer dropout: the number of levels of each example, uniform in [1, levels]; int32 [batch]."""
    return jax.random.randint(key, (batch,), 1, levels + 1)


class ResidualVectorQuantizer(nn.Module):
    """Stack of codebooks held in the `codebook` collection; nothing here is trained by gradient."""

    config: QuantizerConfig
    dimension: int

    def setup(self) -> None:
        c = self.config
        shape = (c.num_quantizers, c.codebook_size, self.dimension)
        self.embedding = self.variable("codebook", "embedding", jnp.zeros, shape)
        self.total = self.variable("codebook", "total", jnp.zeros, shape)
        self.count = self.variable("codebook", "count", jnp.zeros, shape[:2])
        self.initialised = self.variable("codebook", "initialised", jnp.zeros, (), jnp.bool_)

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """[batch, frames, dimension] -> int32 codes [batch, frames, num_quantizers]."""
        flat = x.astype(jnp.float32).reshape(-1, self.dimension)

        def level(residual: jax.Array, embedding: jax.Array):
            codes = cb.nearest(residual, embedding)
            return residual - embedding[codes], codes

        _, codes = jax.lax.scan(level, flat, self.embedding.value[:num_quantizers])
        return jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1)

    def decode(self, codes: jax.Array) -> jax.Array:
        """Codes [batch, frames, n] with n up to the number of levels -> [batch, frames, dimension]."""
        levels = codes.shape[-1]
        vectors = self.embedding.value[jnp.arange(levels), codes]  # [batch, frames, n, dimension]
        return jnp.sum(vectors, axis=-2)

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """K-means of every level in turn on the frames x [batch, frames, dimension]; needs `codebook` mutable."""
        c = self.config
        flat = x.astype(jnp.float32).reshape(-1, self.dimension)

        def level(residual: jax.Array, level_key: jax.Array):
            centroids, count = cb.kmeans(residual, level_key, c.codebook_size, c.kmeans_iterations, axis)
            return residual - centroids[cb.nearest(residual, centroids)], (centroids, count)

        _, (centroids, count) = jax.lax.scan(level, flat, jax.random.split(key, c.num_quantizers))
        # An entry that won no frame starts with the mean count, so that it is tried before it counts as dead.
        count = jnp.maximum(count, jnp.mean(count, axis=-1, keepdims=True))
        self.embedding.value = centroids
        self.count.value = count
        self.total.value = centroids * count[..., None]
        self.initialised.value = jnp.ones((), jnp.bool_)

    def __call__(
        self, x: jax.Array, *, levels: jax.Array, key: jax.Array, update: bool, axis: str | None = None
    ) -> QuantizerOutput:
        """Quantizes, and with `update` moves the codebooks.

        Args:
          x: [batch, frames, dimension].
          levels: int32 [batch], the number of levels each example uses.
          key: randomness of the revival of dead entries; the same on every replica.
          update: change the codebooks (the `codebook` collection must be mutable).
          axis: mapped axis of data parallelism.
        """
        c = self.config
        batch, frames, _ = x.shape
        flat = x.astype(jnp.float32).reshape(-1, self.dimension)
        # used[l, i]: does frame i's example use level l?
        used = (levels[None, :] > jnp.arange(c.num_quantizers)[:, None]).astype(jnp.float32)
        used = jnp.repeat(used, frames, axis=1)
        per_frame = 1.0 / jnp.repeat(levels, frames)

        def level(residual: jax.Array, inputs):
            embedding, weight = inputs
            codes = cb.nearest(jax.lax.stop_gradient(residual), embedding)
            # Detached at every level: the gradient of each commitment term reaches x once, directly.
            quantized = jax.lax.stop_gradient(embedding[codes])
            error = jnp.mean((residual - quantized) ** 2, axis=-1)
            weighted = quantized * weight[:, None]
            return residual - quantized, (codes, weighted, error * weight, residual)

        embedding = jax.lax.stop_gradient(self.embedding.value)
        _, (codes, parts, errors, residuals) = jax.lax.scan(level, flat, (embedding, used))
        residuals = jax.lax.stop_gradient(residuals)
        errors = jnp.sum(errors, axis=0)
        # The mean over an example's own levels, then over frames: an average of replicas is then the global value.
        commitment = jnp.mean(errors * per_frame)
        quantized = jnp.sum(parts, axis=0)
        straight, first = (flat + jax.lax.stop_gradient(part - flat) for part in (quantized, parts[0]))

        count, total = jax.vmap(lambda r, k, w: cb.assignment_statistics(r, k, w, c.codebook_size))(
            residuals, codes, used
        )
        count, total = cb.all_sum((count, total), axis)
        perplexity, share = cb.usage(count)
        metrics = {"perplexity": perplexity, "used": share}
        if update:
            state = cb.CodebookState(self.embedding.value, self.total.value, self.count.value)
            state = cb.moving_average(state, count, total, decay=c.decay, epsilon=c.epsilon)
            candidates = cb.global_frames(residuals, key, c.codebook_size, axis)
            state, dead = cb.revive_dead(state, candidates, threshold=c.dead_threshold)
            self.embedding.value, self.total.value, self.count.value = state.embedding, state.total, state.count
            metrics["dead"] = dead.astype(jnp.float32)
        return QuantizerOutput(
            quantized=straight.reshape(x.shape).astype(x.dtype),
            first=first.reshape(x.shape).astype(x.dtype),
            codes=jnp.moveaxis(codes, 0, -1).reshape(batch, frames, -1),
            commitment=commitment,
            metrics=metrics,
        )
