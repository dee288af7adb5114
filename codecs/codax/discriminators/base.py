"""The description of a discriminator, from which `ensemble.Discriminators` is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

Output = tuple[jax.Array, list[jax.Array]]  # logits and feature maps
# Networks, their parameters and their audio -> the output of each.
Together = Callable[[Sequence[Any], Sequence[Any], Sequence[jax.Array]], list[Output]]


@dataclasses.dataclass(frozen=True)
class Member:
    """One discriminator.

    Attributes:
      name: unique name of its parameters.
      net: audio [batch, time, channels] -> logits [batch, ...] and a list of feature maps.
      halvings: number of times that the sample rate is halved before `net`.
      halve: halves the sample rate; discriminators with the same `halve` share its outputs.
      together: computes all members that have it, on TPUs, where fewer and larger convolutions compile sooner.
    """

    name: str
    net: nn.Module
    halvings: int = 0
    halve: Callable[[jax.Array], jax.Array] | None = None
    together: Together | None = None
