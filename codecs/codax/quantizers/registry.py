"""Quantizers by `QuantizerConfig.kind`."""

from __future__ import annotations

from collections.abc import Callable

from codax.config import Config, ModelConfig, QuantizerConfig
from codax.errors import CodaxError
from codax.quantizers.base import Quantizer
from codax.quantizers.factorised import FactorisedQuantizer
from codax.quantizers.fsq import FiniteScalarQuantizer
from codax.quantizers.rvq import ResidualVectorQuantizer

Make = Callable[[QuantizerConfig, ModelConfig], Quantizer]

QUANTIZERS: dict[str, Make] = {
    "average": lambda quantizer, model: ResidualVectorQuantizer(quantizer, model.dimension),
    "factorised": lambda quantizer, model: FactorisedQuantizer(quantizer, model.dimension, model.weight_norm),
    "fsq": lambda quantizer, model: FiniteScalarQuantizer(quantizer, model.dimension, model.weight_norm),
}


def register(kind: str, make: Make) -> None:
    """Makes a quantizer known to recipes.

    Raises:
      CodaxError: the kind is taken.
    """
    if kind in QUANTIZERS:
        raise CodaxError(f"quantizer {kind}: the name is taken")
    QUANTIZERS[kind] = make


def make_quantizer(config: Config) -> Quantizer:
    """The quantizer of a codec."""
    return QUANTIZERS[config.quantizer.kind](config.quantizer, config.model)
