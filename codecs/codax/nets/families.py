"""The registry of families of networks: from the class of a model section to encoder, decoder and what they depend on.

To add a family: its section in `codax.config.models`, a module of its networks, and a line here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from codax.config import DACConfig, EncodecConfig, MimiConfig, ModelConfig, SoundStreamConfig
from codax.nets import dac, mimi, seanet, soundstream
from codax.nets.facts import Facts


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of a family.

    Attributes:
      encoder: makes the Linen module from audio [batch, time, audio_channels] to latent frames [batch, frames,
        dimension], of a model section; keyword arguments `dtype` and `remat`.
      decoder: the other way.
      facts: of a model section.
    """

    encoder: Callable[..., Any]
    decoder: Callable[..., Any]
    facts: Callable[[Any], Facts]


FAMILIES: dict[type[ModelConfig], Family] = {}


def register(config: type[ModelConfig], family: Family) -> None:
    """Adds a family, which may be defined anywhere; its section is registered with `ModelConfig.register`."""
    FAMILIES[config] = family


def of(model: ModelConfig) -> Family:
    """The family of a model section."""
    return FAMILIES[type(model)]


def facts(model: ModelConfig) -> Facts:
    """What the networks of a model section depend on."""
    return of(model).facts(model)


register(SoundStreamConfig, Family(soundstream.Encoder, soundstream.Decoder, soundstream.facts))
register(DACConfig, Family(dac.Encoder, dac.Decoder, dac.facts))
register(EncodecConfig, Family(seanet.Encoder, seanet.Decoder, seanet.facts))
register(MimiConfig, Family(mimi.Encoder, mimi.Decoder, mimi.facts))
