"""Configuration of the language model of codes."""

from __future__ import annotations

import dataclasses

from codax.config import Config
from codax.config.parsing import build
from codax.errors import ConfigError
from codax.tokens.layouts import LAYOUTS as TOKEN_LAYOUTS

LAYOUTS = ("", *(name for name, layout in TOKEN_LAYOUTS.items() if layout.parallel))


@dataclasses.dataclass(frozen=True)
class LMConfig:
    """Config of the language model; the defaults are EnCodec's at 24 kHz (arXiv 2210.13438, section 3.3)."""

    codebooks: int = 32  # maximum per frame; with fewer, the first ones are used
    codebook_size: int = 1024
    dim: int = 200
    layers: int = 5
    heads: int = 8
    hidden: int = 800  # channels of the feed-forward layers
    past_context: int = 262  # previous frames that a frame attends to
    period: float = 10_000.0  # longest wavelength of the position embeddings, in frames, divided by 2 pi
    layout: str = ""  # one of `LAYOUTS`: the order in which the codes are predicted

    def validate(self) -> LMConfig:
        """Returns self. Raises `ConfigError` naming the first invalid field."""
        for field in ("codebooks", "layers", "heads", "hidden", "past_context"):
            if getattr(self, field) < 1:
                raise ConfigError(f"config field lm.{field} = {getattr(self, field)}: must be at least 1")
        if not 2 <= self.codebook_size <= 65536:
            raise ConfigError(f"config field lm.codebook_size = {self.codebook_size}: must be 2 to 65536")
        if self.dim < 4 or self.dim % 2 or self.dim % self.heads:
            raise ConfigError(f"config field lm.dim = {self.dim}: must be even, at least 4, a multiple of lm.heads")
        for field, most in (("past_context", 1 << 16), ("codebooks", 255)):
            if getattr(self, field) > most:
                raise ConfigError(f"config field lm.{field} = {getattr(self, field)}: must be at most {most}")
        if self.layout not in LAYOUTS:
            names = ", ".join(repr(name) for name in LAYOUTS)
            raise ConfigError(f"config field lm.layout = {self.layout!r}: must be one of {names}")
        if self.period <= 0:
            raise ConfigError(f"config field lm.period = {self.period}: must be positive")
        return self

    @property
    def least_values(self) -> int:
        """A lower bound of the number of values in the arrays, quantized or not."""
        layer = (4 * self.dim + 2 * self.hidden) * self.dim
        return 2 * self.codebooks * self.codebook_size * self.dim + self.layers * layer

    def checked_codebooks(self, count: int | None) -> int:
        """Returns `count`, or the number of all codebooks for None. Raises `ConfigError` if `count` is out of range."""
        if count is None:
            return self.codebooks
        if not 1 <= count <= self.codebooks:
            raise ConfigError(f"{count} codebooks: the language model has 1 to {self.codebooks}")
        return count

    def to_dict(self) -> dict:
        """Plain values, the input of `from_dict`."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict) -> LMConfig:
        """Builds a validated config. Raises `ConfigError` naming an unknown or invalid field."""
        return build(LMConfig, values, "lm.").validate()

    @staticmethod
    def of_recipe(config: Config) -> LMConfig:
        """The language model of a recipe: `config.lm` with the sizes of the recipe's codec."""
        lm, quantizer = config.lm, config.quantizer
        return LMConfig(
            codebooks=lm.codebooks or quantizer.num_quantizers,
            codebook_size=quantizer.codebook_size,
            dim=lm.dim,
            layers=lm.layers,
            heads=lm.heads,
            hidden=lm.hidden,
            past_context=int(lm.past_seconds * config.frame_rate),
            layout=lm.layout,
        ).validate()
