"""What a codec, its training and its exports ask of a quantizer.

A quantizer is a Linen module between the encoder and the decoder, made by `codax.quantizers.registry`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import flax.struct
import jax
import numpy as np


@flax.struct.dataclass
class Output:
    """What quantization returns in training."""

    quantized: jax.Array  # [batch, frames, dimension]; with a gradient to the input
    first: jax.Array  # [batch, frames, dimension], of the first level alone; with a gradient to the input
    codes: jax.Array  # int32 [batch, frames, levels]
    commitment: jax.Array  # scalar
    metrics: dict[str, jax.Array]  # per level: those of `codebook.use_metrics`, and others of the quantizer
    codebook: jax.Array | None = None  # scalar, the loss of entries that are learned by gradient


@dataclasses.dataclass(frozen=True)
class Description:
    """Facts about a quantizer, for logs and for coding.

    Attributes:
      codebook_values: numbers in its codebooks.
      start: how `initialise` starts them, for the log.
      training_only: names of arrays in the `codebook` collection that coding does without.
    """

    codebook_values: int
    start: str
    training_only: tuple[str, ...] = ()


class Quantizer(Protocol):
    """Latent frames float32 [batch, frames, dimension] <-> codes int32 [batch, frames, levels].

    The `codebook` collection has at least `initialised`, bool [], and `count`, float32 [levels, entries]: running
    counts of the codes in training, which entropy coding starts from.
    """

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        """Codes of the first `num_quantizers` levels (None = all)."""
        ...

    def decode(self, codes: jax.Array) -> jax.Array:
        """Latent frames of the codes of any number of levels."""
        ...

    def decode_any(self, codes: jax.Array) -> jax.Array:
        """`decode` for exported programs, in which the number of levels may be symbolic."""
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
        """Quantizes in training, and with `update` moves the codebooks.

        Args:
          x: [batch, frames, dimension].
          levels: int32 [batch], the number of levels that each example uses.
          key: the same on every replica.
          update: change the `codebook` collection, which must be mutable.
          axis: mapped axis of data parallelism.
          bypass: bool [batch], examples whose output is not quantized; the codebooks learn from them all the same.
          revive: replace dead entries in this step.
        """
        ...

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Starts the `codebook` collection, which must be mutable, from the latent frames of the first batch."""
        ...

    def random_state(self, rng: np.random.Generator) -> dict[str, Any]:
        """A `codebook` collection of random entries, for codecs that were never trained; needs no variables."""
        ...

    def describe(self) -> Description:
        """Needs no variables."""
        ...
