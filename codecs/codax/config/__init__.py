"""Configuration of a recipe: sections and their checks, parsing, and recipe files."""

from codax.config.data import DataConfig, MixtureConfig
from codax.config.discriminators import DiscriminatorConfig
from codax.config.language import LanguageModelConfig
from codax.config.losses import LossConfig
from codax.config.models import (
    DACConfig,
    EncodecConfig,
    FrameDecoderConfig,
    MimiConfig,
    ModelConfig,
    RecurrentSEANetConfig,
    SEANetConfig,
    SEANetModelConfig,
    SoundStreamConfig,
    TransformerConfig,
)
from codax.config.quantizers import (
    EMAQuantizerConfig,
    FactorisedQuantizerConfig,
    FSQQuantizerConfig,
    QuantizerConfig,
)
from codax.config.recipe import Config
from codax.config.teachers import TeacherConfig
from codax.config.training import MemoryConfig, OptimizerConfig, TrainConfig
from codax.errors import ConfigError

__all__ = [
    "Config",
    "ConfigError",
    "DACConfig",
    "DataConfig",
    "DiscriminatorConfig",
    "EMAQuantizerConfig",
    "EncodecConfig",
    "FSQQuantizerConfig",
    "FactorisedQuantizerConfig",
    "FrameDecoderConfig",
    "LanguageModelConfig",
    "LossConfig",
    "MemoryConfig",
    "MimiConfig",
    "MixtureConfig",
    "ModelConfig",
    "OptimizerConfig",
    "QuantizerConfig",
    "RecurrentSEANetConfig",
    "SEANetConfig",
    "SEANetModelConfig",
    "SoundStreamConfig",
    "TeacherConfig",
    "TrainConfig",
    "TransformerConfig",
]
