"""The registry of network families: maps the class of a model section to encoder, decoder and their properties.

To add a family, add its section to `codax.config.models`, a module with its networks, and a line here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from codax.config import DACConfig, EncodecConfig, MimiConfig, ModelConfig, SoundStreamConfig
from codax.errors import CodaxError
from codax.nets import dac, mimi, seanet, soundstream
from codax.nets.facts import Facts


@dataclasses.dataclass(frozen=True)
class Family:
    """The networks of a family.

    Attributes:
      encoder: creates the Linen module from a model section; it maps audio [batch, time, audio_channels] to latent
        frames [batch, frames, dimension]. Keyword arguments: `dtype` and `remat`.
      decoder: likewise, for the inverse direction.
      facts: returns the properties of the networks of a model section.
    """

    encoder: Callable[..., Any]
    decoder: Callable[..., Any]
    facts: Callable[[Any], Facts]


FAMILIES: dict[type[ModelConfig], Family] = {
    SoundStreamConfig: Family(soundstream.Encoder, soundstream.make_decoder, soundstream.facts),
    DACConfig: Family(dac.Encoder, dac.make_decoder, dac.facts),
    EncodecConfig: Family(seanet.Encoder, seanet.Decoder, seanet.facts),
    MimiConfig: Family(mimi.Encoder, mimi.Decoder, mimi.facts),
}


def register(section: type[ModelConfig], family: Family) -> None:
    """Makes a family known to recipes, config files and the command line by `section.family`.

    Raises:
      CodaxError: the name is taken.
    """
    if section.family in ModelConfig.classes:
        raise CodaxError(f"family {section.family}: the name is taken")
    ModelConfig.register(section)
    FAMILIES[section] = family


def of(model: ModelConfig) -> Family:
    """The family of a model section."""
    return FAMILIES[type(model)]


def facts(model: ModelConfig) -> Facts:
    """The properties of the networks of a model section."""
    return of(model).facts(model)
