"""Residual quantizer with factorised codes and codebooks that are learned by gradient (DAC, arXiv 2306.06546, 3.2).

Each level projects what the levels before it left over into a few channels, takes the entry of the smallest angle to
that, and projects the entry back. Entries are parameters: the codebook loss pulls them to what is quantized with them,
and the commitment loss pulls the other way (van den Oord et al., 2017, equation 3).
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import QuantizerConfig
from codax.nets.weightnorm import kernel_parameter
from codax.quantizers import codebook as cb
from codax.quantizers.rvq import QuantizerOutput, levels_in_use

_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
Map = tuple[jax.Array, jax.Array]  # kernel and bias, of all levels or of one


class Projections(nn.Module):
    """One linear map for each level: kernels [levels, channels, features] and biases [levels, features]."""

    levels: int
    channels: int
    features: int
    weight_norm: bool

    @nn.compact
    def __call__(self) -> Map:
        shape = (self.levels, self.channels, self.features)
        init = nn.initializers.lecun_normal(batch_axis=0)
        kernel = kernel_parameter(self, init, shape, weight_norm=self.weight_norm, axis=(0, 2))
        return kernel, self.param("bias", nn.initializers.zeros, (self.levels, self.features))


def nearest_direction(x: jax.Array, entries: jax.Array) -> jax.Array:
    """Index of the entry of the smallest angle: [n, channels], [entries, channels] -> int32 [n]."""
    norms = jnp.linalg.norm(entries, axis=-1, keepdims=True)
    return cb.first_largest(_matmul(x, (entries / jnp.maximum(norms, 1e-12)).T))


class FactorisedQuantizer(nn.Module):
    """The interface of `codax.quantizers.rvq.ResidualVectorQuantizer`, with the entries among the parameters.

    The `codebook` collection holds running counts of the codes, which tell how often each is used, and nothing else
    that changes: there is no k-means, no moving average and no revival of dead entries.
    """

    config: QuantizerConfig
    dimension: int
    weight_norm: bool = False  # of the projections

    def setup(self) -> None:
        c = self.config
        levels, inner = c.num_quantizers, c.projection
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), (levels, c.codebook_size, inner))
        self.inward = Projections(levels, self.dimension, inner, self.weight_norm)
        self.outward = Projections(levels, inner, self.dimension, self.weight_norm)
        self.count = self.variable("codebook", "count", jnp.zeros, (levels, c.codebook_size))
        self.initialised = self.variable("codebook", "initialised", lambda: jnp.ones((), jnp.bool_))

    def _stack(self, levels: int | None = None) -> tuple[Map, Map, jax.Array]:
        """Maps in and out and entries of the first levels."""
        return jax.tree.map(lambda x: x[:levels], (self.inward(), self.outward(), self.embedding))

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """[batch, frames, dimension] -> int32 codes [batch, frames, num_quantizers]."""

        def level(residual: jax.Array, inputs: tuple[Map, Map, jax.Array]):
            (kernel, bias), (back, shift), entries = inputs
            codes = nearest_direction(_matmul(residual, kernel) + bias, entries)
            return residual - _matmul(entries[codes], back) - shift, codes

        flat = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        codes = jax.lax.scan(level, flat, self._stack(num_quantizers))[1]
        return jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1)

    def decode(self, codes: jax.Array) -> jax.Array:
        """Codes [batch, frames, n] with n up to the number of levels -> [batch, frames, dimension]."""

        def level(total: jax.Array, inputs):
            (back, shift), entries, level_codes = inputs
            return total + _matmul(entries[level_codes], back) + shift, None

        _, outward, entries = self._stack(codes.shape[-1])
        start = jnp.zeros((*codes.shape[:2], self.dimension))
        return jax.lax.scan(level, start, (outward, entries, jnp.moveaxis(codes, -1, 0)))[0]

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Nothing: the entries start at random, with the other parameters."""

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
    ) -> QuantizerOutput:
        """Quantizes, and with `update` counts the codes; arguments as in `ResidualVectorQuantizer.__call__`.

        As in DAC's code, what a level leaves over is taken from its output with the straight-through gradient. Both
        losses are sums over an example's levels of the mean squared difference, averaged over examples.
        """
        c = self.config
        used = levels_in_use(levels, c.num_quantizers, x.shape[1])
        still = jax.lax.stop_gradient

        def level(residual: jax.Array, inputs):
            (kernel, bias), (back, shift), entries, weight = inputs
            inner = _matmul(residual, kernel) + bias
            codes = nearest_direction(still(inner), still(entries))
            chosen = entries[codes]
            losses = [
                jnp.mean(weight * jnp.mean(difference**2, axis=-1))
                for difference in (inner - still(chosen), chosen - still(inner))
            ]
            part = _matmul(inner + still(chosen - inner), back) + shift
            return residual - part, (codes, part, *losses)

        flat = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        _, (codes, parts, commitment, codebook) = jax.lax.scan(level, flat, (*self._stack(), used))
        quantized = jnp.sum(parts * used[..., None], axis=0).reshape(x.shape)
        if bypass is not None:
            quantized = jnp.where(bypass[:, None, None], x, quantized)

        nothing = jnp.zeros((len(flat), 0))  # only the numbers are wanted, no sums
        count, _ = jax.vmap(lambda k, w: cb.assignment_statistics(nothing, k, w, c.codebook_size))(codes, used)
        count = cb.all_sum(count, axis)
        perplexity, share = cb.usage(count)
        if update:
            self.count.value = c.decay * self.count.value + (1 - c.decay) * count
        return QuantizerOutput(
            quantized=quantized.astype(x.dtype),
            first=parts[0].reshape(x.shape).astype(x.dtype),
            codes=jnp.moveaxis(codes, 0, -1).reshape(*x.shape[:2], -1),
            commitment=jnp.sum(commitment),
            codebook=jnp.sum(codebook),
            metrics={"perplexity": perplexity, "used": share},
        )
