"""Residual quantizer with factorised codes and codebooks trained by gradient (DAC, arXiv 2306.06546, section 3.2).

Each level projects the residual of the previous levels to a few channels, selects the entry at the smallest angle, and
projects the entry back. Entries are parameters: the codebook loss moves them to the vectors that they quantize, and the
commitment loss moves the vectors to the entries (van den Oord et al., 2017, equation 3).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.quantizers import codebook as cb
from codax.quantizers.base import Description
from codax.quantizers.gradients import GRADIENTS
from codax.quantizers.projected import Map, ProjectedQuantizer


class FactorisedQuantizer(ProjectedQuantizer):
    """A `ProjectedQuantizer` whose entries are parameters; both losses are mean squared differences."""

    @property
    def channels(self) -> int:
        return self.config.projection

    def setup(self) -> None:
        c = self.config
        shape = (c.num_quantizers, c.codebook_size, self.channels)
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), shape)
        super().setup()
        self.initialised = self.variable("codebook", "initialised", lambda: jnp.ones((), jnp.bool_))

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Does nothing: the entries start at random, with the other parameters."""

    @nn.nowrap
    def describe(self) -> Description:
        c = self.config
        return Description(c.num_quantizers * c.codebook_size * self.channels, "at random")

    def stack(self) -> tuple[Map, Map, jax.Array]:
        return self.inward(), self.outward(), self.embedding

    def search(self, inner: jax.Array, entries: jax.Array) -> jax.Array:
        return cb.nearest_direction(inner, entries)

    def look_up(self, codes: jax.Array, entries: jax.Array) -> jax.Array:
        return entries[codes]

    def learn(
        self, inner: jax.Array, entries: jax.Array, weight: jax.Array
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        detached = jax.lax.stop_gradient
        codes = self.search(detached(inner), detached(entries))
        chosen = entries[codes]
        differences = {"commitment": inner - detached(chosen), "codebook": chosen - detached(inner)}
        losses = {name: jnp.mean(weight * jnp.mean(d**2, axis=-1)) for name, d in differences.items()}
        return codes, GRADIENTS[self.config.gradient](inner, detached(chosen)), losses
