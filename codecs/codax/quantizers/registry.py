"""Quantizers, keyed by the class of their configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codax.config import (
    Config,
    EMAQuantizerConfig,
    FactorisedQuantizerConfig,
    FSQQuantizerConfig,
    ModelConfig,
    QuantizerConfig,
)
from codax.errors import CodaxError
from codax.quantizers.base import Quantizer
from codax.quantizers.factorised import FactorisedQuantizer
from codax.quantizers.fsq import FiniteScalarQuantizer
from codax.quantizers.rvq import ResidualVectorQuantizer

Make = Callable[[Any, ModelConfig], Quantizer]  # takes the quantizer's section and the model's

QUANTIZERS: dict[type[QuantizerConfig], Make] = {
    EMAQuantizerConfig: lambda quantizer, model: ResidualVectorQuantizer(quantizer, model.dimension),
    FactorisedQuantizerConfig: lambda quantizer, model: FactorisedQuantizer(
        quantizer, model.dimension, model.weight_norm
    ),
    FSQQuantizerConfig: lambda quantizer, model: FiniteScalarQuantizer(quantizer, model.dimension, model.weight_norm),
}


def register(section: type[QuantizerConfig], make: Make) -> None:
    """Adds a quantizer, which recipes, config files and the command line name by `section.kind`.

    Raises:
      CodaxError: the kind is taken.
    """
    if section.kind in QuantizerConfig.classes:
        raise CodaxError(f"quantizer {section.kind}: the kind is taken")
    QuantizerConfig.register(section)
    QUANTIZERS[section] = make


def make_quantizer(config: Config) -> Quantizer:
    """Builds the quantizer of a codec."""
    return QUANTIZERS[type(config.quantizer)](config.quantizer, config.model)
