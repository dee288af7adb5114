"""A recipe's config: all sections, the checks across sections, and derived values.

A recipe is one file in `configs/` whose `get_config()` returns a `Config`. Sections are typed and reject unknown
fields; a recipe or a command line that sets a field without effect is rejected too.
"""

import copy
import dataclasses
import functools
import json
import math
import re
from pathlib import Path
from typing import Any, Self, TypeVar

from codax.config.checks import Check
from codax.config.data import DataConfig
from codax.config.discriminators import DiscriminatorConfig
from codax.config.language import LanguageModelConfig
from codax.config.losses import LossConfig
from codax.config.models import ModelConfig, SoundStreamConfig
from codax.config.parsing import build
from codax.config.quantizers import EMAQuantizerConfig, QuantizerConfig
from codax.config.section import Section, constant
from codax.config.teachers import TeacherConfig
from codax.config.training import PARTS, MemoryConfig, OptimizerConfig, TrainConfig
from codax.config.upgrade import VERSION, upgraded
from codax.errors import ConfigError, shown
from codax.storage import strict_json

M = TypeVar("M", bound=ModelConfig)


@dataclasses.dataclass
class Config(Section):
    """Config of a recipe."""

    version: int = constant(VERSION)  # of the file's format
    name: str = "soundstream_24khz"  # of the model, in files and reports
    seed: int = 0  # of everything that is random in a run
    codes_of: tuple[str, ...] = ()  # hashes (hex) of models with the same encoder and codebooks, whose files it decodes
    model: ModelConfig = dataclasses.field(default_factory=SoundStreamConfig)
    quantizer: QuantizerConfig = dataclasses.field(default_factory=EMAQuantizerConfig)
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    memory: MemoryConfig = dataclasses.field(default_factory=MemoryConfig)
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)
    lm: LanguageModelConfig = dataclasses.field(default_factory=LanguageModelConfig)

    def model_of(self, cls: type[M]) -> M:
        """Returns the model section. Raises ConfigError if it is not of this class."""
        if not isinstance(self.model, cls):
            raise ConfigError(f"model {self.name} of family {self.model.family}: must have a {cls.__name__}")
        return self.model

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return self.model.hop

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.model.sample_rate / self.hop

    @property
    def latency_ms(self) -> float:
        """Algorithmic latency of the causal codec: the samples of one frame, in milliseconds."""
        return 1000.0 * self.hop / self.model.sample_rate

    @property
    def segment(self) -> tuple[int, int]:
        """Length and stride of a coding segment in samples; (0, 0) if the signal is coded as a whole."""
        length = int(self.model.segment_seconds * self.model.sample_rate)
        return length, max(1, int((1 - self.model.segment_overlap) * length)) if length else 0

    @property
    def bits_per_code(self) -> int:
        return max(1, math.ceil(math.log2(self.quantizer.codebook_size)))

    @property
    def segment_samples(self) -> int:
        """Samples of a training example: `segment_seconds`, rounded down to whole frames."""
        return int(self.train.segment_seconds * self.model.sample_rate) // self.hop * self.hop

    def kbps(self, num_quantizers: int) -> float:
        """Returns the nominal kilobits per second of the first `num_quantizers` quantizers."""
        return self.frame_rate * num_quantizers * self.bits_per_code / 1000.0

    def quantizers_for(self, kbps: float | None) -> int:
        """Returns the number of quantizers whose bit rate is `kbps` (kilobits per second); None = all.

        Raises:
          ConfigError: the closest bit rate differs by more than 2 %.
        """
        if kbps is None:
            return self.quantizer.num_quantizers
        per_level = self.kbps(1)
        count = round(kbps / per_level) if math.isfinite(kbps) else 0
        if not 1 <= count <= self.quantizer.num_quantizers or abs(count * per_level - kbps) > 0.02 * kbps:
            most = self.quantizer.num_quantizers
            raise ConfigError(
                f"{kbps:g} kbps cannot be made of {per_level:g} kbps per quantizer with 1 to {most} quantizers "
                f"({per_level:g} to {self.kbps(most):g} kbps)"
            )
        return count

    def checks(self) -> list[Check]:
        """Returns the checks across sections."""
        model, quantizer, data, train = self.model, self.quantizer, self.data, self.train
        stored_features = self.teacher.precomputed and self.loss.distillation > 0
        return [
            Check(
                all(re.fullmatch("[0-9a-f]{16}", each) for each in self.codes_of),
                "codes_of",
                "hashes of models: 16 hexadecimal digits each",
            ),
            Check(
                not self.discriminator.per_kbps or quantizer.dropout_kbps,
                "discriminator.per_kbps",
                "false without quantizer.dropout_kbps",
            ),
            Check(
                not self.discriminator.drawn or train.programs != "one",
                "train.programs",
                "auto or pieces with discriminator.drawn, whose steps share the pieces",
            ),
            Check(
                not (data.mixture.sources and stored_features) or set(data.mixture.counts) == {1},
                "data.mixture.counts",
                "1 everywhere with a teacher's precomputed features, which belong to one clip",
            ),
            Check(
                not self.loss.distillation or model.semantic_dimension > 0,
                "model.semantic_dimension",
                "positive with loss.distillation: the head that the teacher's features are compared with",
            ),
            Check(
                not (self.loss.self_supervised and self.teacher.precomputed) or bool(self.loss.self_supervised_teacher),
                "loss.self_supervised_teacher",
                "a teacher when teacher.source is precomputed: loss.self_supervised needs the network",
            ),
            Check(
                data.speed == (1.0, 1.0) or not stored_features,
                "data.speed",
                "(1.0, 1.0) with a teacher's precomputed features",
            ),
            Check(
                model.film == "none" or bool(data.noise_source),
                "data.noise_source",
                "set when model.film is: denoising needs noise",
            ),
            Check(
                len(model.gains_db) in (0, quantizer.num_quantizers),
                "model.gains_db",
                f"empty, or one gain for each of 1 to {quantizer.num_quantizers} quantizers",
            ),
            Check(
                not self.discriminator.crop_seconds or self._are_crops_long_enough(),
                "discriminator.crop_seconds",
                "0, or from twice the longest window of the discriminators to train.segment_seconds",
            ),
            Check(self.segment_samples >= self.hop, "train.segment_seconds", "at least one frame long"),
            Check(not train.start_from or not self.lm.codec, "train.start_from", "empty for a language model"),
            Check(
                set(train.freeze) != set(PARTS) or bool(model.film_dilations),
                "train.freeze",
                f"some of {', '.join(PARTS)}, not all of them without model.film_dilations",
            ),
            Check(self.memory.remat == "none" or not self.lm.codec, "memory.remat", "none for a language model"),
            Check(
                train.batch_size % self.memory.accumulate == 0,
                "memory.accumulate",
                f"a divisor of train.batch_size = {train.batch_size}",
            ),
        ]

    def _are_crops_long_enough(self) -> bool:
        samples = self.discriminator.crop_seconds * self.model.sample_rate
        return 2 * self.discriminator.longest_window <= samples <= self.train.segment_seconds * self.model.sample_rate

    def validate(self) -> Self:
        """Returns self, or raises `ConfigError` naming the first invalid field."""
        whole, *sections = self.sections()
        for section in (*sections, whole):
            for ok, field, expected in section.checks():
                if not ok:
                    about = f"config field {section.place(field)} = {shown(_at(section, field))}"
                    raise ConfigError(f"{about}: must be {expected}{_origin(section, field)}")
        for kbps in self.quantizer.kbps:
            try:
                self.quantizers_for(kbps)
            except ConfigError as error:
                field = f"config field quantizer.kbps = {shown(self.quantizer.kbps)}"
                raise ConfigError(f"{field}: {error}{_origin(self, 'quantizer.kbps')}") from error
        return self

    def refuse_idle(self) -> Self:
        """Returns self, or raises `ConfigError` naming the first field that was set without effect."""
        for section in self.sections():
            for field in section.idle():
                value = getattr(section, field.name)
                needs = field.metadata["needs"]
                raise ConfigError(
                    f"config field {section.place(field.name)} = {shown(value)} does nothing without {needs}"
                )
        return self

    def acting(self) -> Self:
        """Returns a copy in which every field without effect has its default."""
        copied = copy.deepcopy(self)
        for section in copied.sections():
            for field in list(section.idle()):
                setattr(section, field.name, field.default)
        return copied

    def to_dict(self) -> dict:
        """Returns plain values, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @staticmethod
    def from_dict(values: dict) -> "Config":
        """Builds a validated config from plain values of this or an earlier version.

        Raises:
          ConfigError: naming an unknown, ill-typed or invalid field.
        """
        return build(Config, upgraded(values), "").validate()

    @staticmethod
    def load(path: str | Path) -> "Config":
        """Reads a `config.json` of this or an earlier version.

        Raises:
          ConfigError: naming the file.
        """
        values = strict_json.read(path, "config", ConfigError)
        try:
            return Config.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _origin(section: Section, path: str) -> str:
    """The end of a message about a field: nothing, or that its value is a default."""
    place, _, name = path.rpartition(".")
    owner = _at(section, place) if place else section
    field = type(owner).__dataclass_fields__[name]
    default = field.default_factory() if callable(field.default_factory) else field.default
    return f"; this is the default of {type(owner).__name__}" if getattr(owner, name) == default else ""


def _at(section: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), section)
