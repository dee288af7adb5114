"""What a recipe's discriminators are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax


@dataclasses.dataclass(frozen=True)
class Member:
    """One discriminator.

    Attributes:
      name: of its parameters; unlike all others.
      net: audio [batch, time, channels] -> logits [batch, ...] and a list of feature maps.
      halvings: how often the audio's rate is halved before.
      halve: halves it. Discriminators with one `halve` share what it makes.
    """

    name: str
    net: nn.Module
    halvings: int = 0
    halve: Callable[[jax.Array], jax.Array] | None = None
