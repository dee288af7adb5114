"""The parts of a generator that `train.freeze` excludes from training: no gradient, optimiser state or average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codax.config import Config
from codax.config.training import PARTS


def divide(config: Config, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divides the generator's parameters, or a tree of their form, into those that are trained and the others."""
    trained = {name: value for name, value in params.items() if part_of(config, name) not in config.train.freeze}
    return trained, {name: value for name, value in params.items() if name not in trained}


def part_of(config: Config, module: str) -> str:
    """Returns the part ("encoder", "quantizer" or "decoder") that a module of `CodecModel` belongs to."""
    # A denoiser is trained in every run. The head of the teacher's features reads the first level's codes alone.
    film = "film" if config.model.film_dilations else config.model.film
    return {"film": film, "transform": "quantizer"}.get(module, module)


def keeps_codes(config: Config) -> bool:
    """Whether training changes no code (without denoising): encoder and quantizer are frozen."""
    return {"encoder", "quantizer"} <= set(config.train.freeze)


def is_all_frozen(config: Config) -> bool:
    """Whether all but a denoiser is frozen, so that signals are unchanged where it is off."""
    return set(config.train.freeze) == set(PARTS)
