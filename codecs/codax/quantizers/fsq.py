"""Residual finite scalar quantization (Mentzer et al., arXiv 2309.15505); only the projections are trained.

Each level projects the residual of the previous levels to a few channels, bounds every channel and rounds it to one of
its `fsq_levels` values; these values are the digits of the code. Rounding the same channels in every level would only
refine them, by a bit or two per level until float32 is exhausted. Each level therefore has its own projection, and a
fixed scale, measured on the first batch, that brings its input to a root mean square of 1, so that no channel starts
where its bound is flat.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from codax.quantizers.base import Description
from codax.quantizers.gradients import straight_through
from codax.quantizers.projected import Map, ProjectedQuantizer, matmul

_MARGIN = 1e-3  # relative distance of the bound beyond the outermost values, as in the paper's code


def bound(x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """Bounds x [..., channels] so that rounding gives `sizes` values per channel (appendix A.1)."""
    n = np.asarray(sizes)
    half = (n - 1) * (1 + _MARGIN) / 2
    offset = np.where(n % 2 == 1, 0.0, 0.5)
    return jnp.tanh(x + np.arctanh(offset / half).astype(np.float32)) * half.astype(np.float32) - offset


def to_codes(digits: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """Digits [..., channels] from -(size // 2) up, least significant first -> int32 codes [...]."""
    n = np.asarray(sizes)
    place = np.cumprod([1, *sizes[:-1]])
    return jnp.sum((digits.astype(jnp.int32) + n // 2) * place, axis=-1).astype(jnp.int32)


def to_values(codes: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """Inverts `to_codes` and divides digits by size // 2: float32 [..., channels] in [-1, 1]."""
    n = np.asarray(sizes)
    place = np.cumprod([1, *sizes[:-1]])
    return (codes[..., None] // place % n - n // 2).astype(jnp.float32) / (n // 2)


class FiniteScalarQuantizer(ProjectedQuantizer):
    """A `ProjectedQuantizer` without trained entries and losses."""

    @property
    def channels(self) -> int:
        return len(self.config.fsq_levels)

    def setup(self) -> None:
        super().setup()
        self.scale = self.variable("codebook", "scale", jnp.ones, (self.config.num_quantizers,))
        self.initialised = self.variable("codebook", "initialised", jnp.zeros, (), jnp.bool_)

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Measures every level's scale in turn on frames x [batch, frames, dimension]; needs `codebook` mutable."""

        def level(residual: jax.Array, inputs: tuple[Map, Map]):
            (kernel, bias), (back, shift) = inputs
            power = jnp.mean(residual**2)
            power = power if axis is None else jax.lax.pmean(power, axis)
            scale = jnp.maximum(jnp.sqrt(power), 1e-6)
            codes = self.search(matmul(residual / scale, kernel) + bias, scale)
            return residual - (matmul(self.look_up(codes, scale), back) + shift) * scale, scale

        flat = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        self.scale.value = jax.lax.scan(level, flat, self._maps())[1]
        self.initialised.value = jnp.ones((), jnp.bool_)

    @nn.nowrap
    def random_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return super().random_state(rng) | {"scale": np.ones(self.config.num_quantizers, np.float32)}

    @nn.nowrap
    def describe(self) -> Description:
        return Description(0, "from the latent's scale")

    def _maps(self) -> tuple[Map, Map]:
        """Returns maps in and out, which start as each other's transpose."""
        inward = self.inward()
        return inward, self.outward(jnp.swapaxes(inward[0], 1, 2))

    def stack(self) -> tuple[Map, Map, jax.Array]:
        (kernel, bias), (back, shift) = self._maps()
        scale = self.scale.value[:, None, None]
        return (kernel / scale, bias), (back * scale, shift * scale[..., 0]), self.scale.value

    def search(self, inner: jax.Array, entries: jax.Array) -> jax.Array:
        return to_codes(jnp.round(bound(inner, self.config.fsq_levels)), self.config.fsq_levels)

    def look_up(self, codes: jax.Array, entries: jax.Array) -> jax.Array:
        return to_values(codes, self.config.fsq_levels)

    def learn(
        self, inner: jax.Array, entries: jax.Array, weight: jax.Array
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        sizes = self.config.fsq_levels
        bounded = bound(inner, sizes)
        codes = to_codes(jnp.round(bounded), sizes)
        halves = np.asarray([size // 2 for size in sizes], np.float32)
        return codes, straight_through(bounded / halves, to_values(codes, sizes)), {}
