"""The modules and optimisers of a recipe."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax

from codax.codec.module import CodecModel
from codax.config import Config
from codax.discriminators.ensemble import Discriminators
from codax.training.optimizers import make_optimizers


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules and optimisers of a recipe; all arrays are in the state."""

    config: Config
    model: CodecModel
    discriminators: Discriminators
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation

    @staticmethod
    def of(config: Config) -> Networks:
        dtype: Any = jnp.bfloat16 if config.train.compute_dtype == "bfloat16" else None
        return Networks(
            config,
            CodecModel(config, remat=config.memory.remat, pieces=config.memory.accumulate),
            Discriminators(config.discriminator, dtype=dtype),
            *make_optimizers(config),
        )
