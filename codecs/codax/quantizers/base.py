"""The protocol of quantizers, which coding, training and exports use.

A quantizer is a Linen module between the encoder and the decoder; `codax.quantizers.registry` builds it.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import flax.struct
import jax
import numpy as np


@flax.struct.dataclass
class Output:
    """The output of quantization in training."""

    quantized: jax.Array  # [batch, frames, dimension]; with a gradient to the input
    first: jax.Array  # [batch, frames, dimension], the first level's part; with a gradient to the input
    codes: jax.Array  # int32 [batch, frames, levels]
    commitment: jax.Array  # scalar
    metrics: dict[str, jax.Array]  # per level: `codebook.use_metrics`, and the quantizer's own
    codebook: jax.Array | None = None  # scalar, the loss of entries that are trained by gradient


@dataclasses.dataclass(frozen=True)
class Description:
    """Facts about a quantizer, for logs and for coding.

    Attributes:
      codebook_values: count of the numbers in its codebooks.
      start: how `initialise` starts the codebooks, for the log.
      training_only: names of arrays in the `codebook` collection that coding does not need.
    """

    codebook_values: int
    start: str
    training_only: tuple[str, ...] = ()


class Quantizer(Protocol):
    """Latent frames float32 [batch, frames, dimension] <-> codes int32 [batch, frames, levels].

    The `codebook` collection has at least `initialised`, bool [], and `count`, float32 [levels, entries]: running
    counts of the codes in training, with which entropy coding starts.
    """

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """Returns the codes of the first `num_quantizers` levels (None = all)."""
        ...

    def decode(self, codes: jax.Array) -> jax.Array:
        """Returns the latent frames of codes with any number of levels."""
        ...

    def decode_any(self, codes: jax.Array) -> jax.Array:
        """`decode` for exported programs, where the number of levels may be symbolic."""
        ...

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
        """Quantizes in training; `update` moves the codebooks.

        Args:
          x: [batch, frames, dimension].
          levels: int32 [batch], the number of levels that each example uses.
          key: random key, the same on every replica.
          update: change the `codebook` collection, which must be mutable.
          axis: mapped axis of data parallelism.
          bypass: bool [batch], examples whose output is not quantized; the codebooks still learn from them.
          revive: replace dead entries in this step.
        """
        ...

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Initialises the `codebook` collection, which must be mutable, from the latent frames of the first batch."""
        ...

    def random_state(self, rng: np.random.Generator) -> dict[str, Any]:
        """Returns a `codebook` collection of random entries, for untrained codecs; needs no variables."""
        ...

    def describe(self) -> Description:
        """Describes the quantizer; needs no variables."""
        ...
