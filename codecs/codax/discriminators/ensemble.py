"""The discriminators of a recipe as one module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators import bands, hifigan, layers, msstft, stft, together, waveform
from codax.discriminators.base import Member, Output
from codax.errors import CodaxError

Members = Callable[[DiscriminatorConfig, Any], list[Member]]

# The discriminators of each kind, in the order of the outputs; the second argument is the type of the computation.
DISCRIMINATORS: dict[str, Members] = {
    "bands": bands.members,
    "msstft": msstft.members,
    "stft": stft.members,
    "waveform": waveform.members,
    "hifigan": hifigan.members,
}


def register(kind: str, members: Members) -> None:
    """Adds a kind of discriminator. Raises CodaxError if the name is taken."""
    if kind in DISCRIMINATORS:
        raise CodaxError(f"discriminator {kind}: the name is taken")
    DISCRIMINATORS[kind] = members


def members_of(config: DiscriminatorConfig, dtype: Any = None) -> list[Member]:
    """Returns all discriminators of a recipe."""
    return [member for members in DISCRIMINATORS.values() for member in members(config, dtype)]


def groups_of(config: DiscriminatorConfig) -> list[tuple[str, ...]]:
    """Returns the names of all discriminators in the order of `members_of`; a tuple is computed together here."""
    return [tuple(member.name for member in group) for group in _groups(members_of(config), together.is_wanted())]


def _groups(members: Sequence[Member], joins: bool) -> list[list[Member]]:
    groups: list[list[Member]] = []
    for member in members:
        if joins and member.together and groups and groups[-1][0].together is member.together:
            groups[-1].append(member)
        else:
            groups.append([member])
    return groups


class Discriminators(nn.Module):
    """Audio [batch, time, channels] -> a list of (logits, features), one entry per discriminator.

    Attributes:
      only: names of the discriminators that are computed, in the order of `members_of`; () = all.
    """

    config: DiscriminatorConfig
    dtype: jnp.dtype | None = None
    only: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, audio: jax.Array) -> list[Output]:
        if self.config.split_channels:
            audio = jnp.moveaxis(audio, -1, 1).reshape(-1, audio.shape[1], 1)
        audio = layers.normalized(audio) if self.config.normalize else audio
        halved: dict[Any, list[jax.Array]] = {}

        def input_of(member: Member) -> jax.Array:
            rates = halved.setdefault(member.halve, [audio])
            while len(rates) <= member.halvings:
                assert member.halve is not None
                rates.append(member.halve(rates[-1]))
            return rates[member.halvings]

        members = [m for m in members_of(self.config, self.dtype) if not self.only or m.name in self.only]
        outputs: list[Output] = []
        for group in _groups(members, together.is_possible(self)):
            inputs, compute = [input_of(member) for member in group], group[0].together
            if compute is None or len(group) == 1:
                outputs.append(group[0].net(inputs[0]))
            else:
                params = [self.variables["params"][member.name] for member in group]
                outputs += compute([member.net for member in group], params, inputs)
        return outputs
