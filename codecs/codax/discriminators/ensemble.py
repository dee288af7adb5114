"""The discriminators of a recipe as one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators import bands, hifigan, msstft, stft, waveform
from codax.discriminators.base import Member
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


class Discriminators(nn.Module):
    """Audio [batch, time, channels] -> a list of (logits, features), one entry per discriminator.

    Attributes:
      only: name of the only discriminator that is computed; "" = all.
    """

    config: DiscriminatorConfig
    dtype: jnp.dtype | None = None
    only: str = ""

    @nn.compact
    def __call__(self, audio: jax.Array) -> list[tuple[jax.Array, list[jax.Array]]]:
        if self.config.split_channels:
            audio = jnp.moveaxis(audio, -1, 1).reshape(-1, audio.shape[1], 1)
        audio = bands.normalized(audio) if self.config.normalize else audio
        halved: dict[Any, list[jax.Array]] = {}
        outputs = []
        for member in members_of(self.config, self.dtype):
            if self.only not in ("", member.name):
                continue
            rates = halved.setdefault(member.halve, [audio])
            while len(rates) <= member.halvings:
                assert member.halve is not None
                rates.append(member.halve(rates[-1]))
            outputs.append(member.net(rates[member.halvings]))
        return outputs
