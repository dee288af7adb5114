"""The description of a discriminator, from which `ensemble.Discriminators` is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax


@dataclasses.dataclass(frozen=True)
class Member:
    """One discriminator.

    Attributes:
      name: unique name of its parameters.
      net: audio [batch, time, channels] -> logits [batch, ...] and a list of feature maps.
      halvings: number of times that the sample rate is halved before `net`.
      halve: halves the sample rate; discriminators with the same `halve` share its outputs.
    """

    name: str
    net: nn.Module
    halvings: int = 0
    halve: Callable[[jax.Array], jax.Array] | None = None
