"""Residual quantizers whose levels each quantize between two trained linear maps.

Each level projects the residual of the previous levels to a few channels, quantizes these, and projects them back. The
subclass quantizes: `codax.quantizers.factorised` or `codax.quantizers.fsq`.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from codax.config import QuantizerConfig
from codax.nets.weightnorm import kernel_parameter
from codax.quantizers import codebook as cb
from codax.quantizers.base import Description, Output
from codax.quantizers.rvq import levels_in_use

matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
Map = tuple[jax.Array, jax.Array]  # kernel and bias, of all levels or of one


class Projections(nn.Module):
    """A linear map for each level: kernels [levels, channels, features] and biases [levels, features]."""

    levels: int
    channels: int
    features: int
    weight_norm: bool

    @nn.compact
    def __call__(self, start: jax.Array | None = None) -> Map:
        """Args: start, initial kernels; None = random ones."""
        shape = (self.levels, self.channels, self.features)
        init = nn.initializers.lecun_normal(batch_axis=0) if start is None else lambda *_: start
        kernel = kernel_parameter(self, init, shape, weight_norm=self.weight_norm, axis=(0, 2))
        return kernel, self.param("bias", nn.initializers.zeros, (self.levels, self.features))


class ProjectedQuantizer(nn.Module):
    """A `codax.quantizers.base.Quantizer` without k-means and revival of dead entries.

    The `codebook` collection holds running counts of the codes.
    """

    config: QuantizerConfig
    dimension: int
    weight_norm: bool = False  # of the projections

    @property
    def channels(self) -> int:
        """Number of channels that a level quantizes."""
        raise NotImplementedError

    def setup(self) -> None:
        c = self.config
        self.inward = Projections(c.num_quantizers, self.dimension, self.channels, self.weight_norm)
        self.outward = Projections(c.num_quantizers, self.channels, self.dimension, self.weight_norm)
        self.count = self.variable("codebook", "count", jnp.zeros, (c.num_quantizers, c.codebook_size))

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Initialises untrained arrays from frames x [batch, frames, dimension]; needs `codebook` mutable."""
        raise NotImplementedError

    @nn.nowrap
    def random_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns a `codebook` collection with equally frequent codes; only the parameters are random."""
        c = self.config
        count = np.ones((c.num_quantizers, c.codebook_size), np.float32)
        return {"count": count, "initialised": np.ones((), np.bool_)}

    def stack(self) -> tuple[Map, Map, jax.Array]:
        """Returns the maps in and out and the entries [levels, ...] of all levels."""
        raise NotImplementedError

    def search(self, inner: jax.Array, entries: jax.Array) -> jax.Array:
        """Maps vectors [n, channels] to codes int32 [n] of a level."""
        raise NotImplementedError

    def look_up(self, codes: jax.Array, entries: jax.Array) -> jax.Array:
        """Maps codes [...] of a level to vectors [..., channels]."""
        raise NotImplementedError

    def learn(
        self, inner: jax.Array, entries: jax.Array, weight: jax.Array
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Returns a level's codes, vectors with a gradient to `inner`, and losses over the frames with weight [n] 1."""
        raise NotImplementedError

    @nn.nowrap
    def describe(self) -> Description:
        raise NotImplementedError

    def _stack(self, levels: int | None = None) -> tuple[Map, Map, jax.Array]:
        return jax.tree.map(lambda x: x[:levels], self.stack())

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """[batch, frames, dimension] -> int32 codes [batch, frames, num_quantizers]."""

        def level(residual: jax.Array, inputs: tuple[Map, Map, jax.Array]):
            (kernel, bias), (back, shift), entries = inputs
            codes = self.search(matmul(residual, kernel) + bias, entries)
            return residual - matmul(self.look_up(codes, entries), back) - shift, codes

        flat = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        codes = jax.lax.scan(level, flat, self._stack(num_quantizers))[1]
        return jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1)

    def decode(self, codes: jax.Array) -> jax.Array:
        """Codes [batch, frames, n] with n up to the number of levels -> [batch, frames, dimension]."""

        def level(total: jax.Array, inputs):
            (back, shift), entries, level_codes = inputs
            return total + matmul(self.look_up(level_codes, entries), back) + shift, None

        _, outward, entries = self._stack(codes.shape[-1])
        start = jnp.zeros((*codes.shape[:2], self.dimension))
        return jax.lax.scan(level, start, (outward, entries, jnp.moveaxis(codes, -1, 0)))[0]

    def decode_any(self, codes: jax.Array) -> jax.Array:
        """`decode`; n may be symbolic."""
        return self.decode(codes)

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
        """Quantizes; `update` counts the codes. For arguments see `ResidualVectorQuantizer.__call__`.

        As in DAC's code, a level's residual keeps the gradient of the level's output. Losses are sums over an example's
        levels, averaged over examples.
        """
        c = self.config
        used = levels_in_use(levels, c.num_quantizers, x.shape[1])

        def level(residual: jax.Array, inputs):
            (kernel, bias), (back, shift), entries, weight = inputs
            codes, vectors, losses = self.learn(matmul(residual, kernel) + bias, entries, weight)
            part = matmul(vectors, back) + shift
            return residual - part, (codes, part, losses)

        flat = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        _, (codes, parts, losses) = jax.lax.scan(level, flat, (*self._stack(), used))
        quantized = jnp.sum(parts * used[..., None], axis=0).reshape(x.shape)
        if bypass is not None:
            quantized = jnp.where(bypass[:, None, None], x, quantized)

        empty = jnp.zeros((len(flat), 0))  # vectors without channels: only counts are needed, no sums
        count, _ = jax.vmap(lambda k, w: cb.assignment_statistics(empty, k, w, c.codebook_size))(codes, used)
        count = cb.all_sum(count, axis)
        running = self.count.value
        if update:
            running = self.count.value = c.decay * running + (1 - c.decay) * count
        return Output(
            quantized=quantized.astype(x.dtype),
            first=parts[0].reshape(x.shape).astype(x.dtype),
            codes=jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1),
            commitment=jnp.sum(losses.get("commitment", jnp.zeros(()))),
            codebook=jnp.sum(losses["codebook"]) if "codebook" in losses else None,
            metrics=cb.use_metrics(count, running),
        )
