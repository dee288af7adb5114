"""Configuration of a recipe: sections, their checks, parsing, and recipe files."""

from codax.config.mixture import MixtureConfig
from codax.config.recipe import (
    Config,
    DataConfig,
    DiscriminatorConfig,
    LanguageModelConfig,
    LossConfig,
    MemoryConfig,
    ModelConfig,
    OptimizerConfig,
    QuantizerConfig,
    SEANetConfig,
    TeacherConfig,
    TrainConfig,
    TransformerConfig,
)
from codax.errors import ConfigError

__all__ = [
    "Config",
    "ConfigError",
    "DataConfig",
    "DiscriminatorConfig",
    "LanguageModelConfig",
    "LossConfig",
    "MemoryConfig",
    "MixtureConfig",
    "ModelConfig",
    "OptimizerConfig",
    "QuantizerConfig",
    "SEANetConfig",
    "TeacherConfig",
    "TrainConfig",
    "TransformerConfig",
]
