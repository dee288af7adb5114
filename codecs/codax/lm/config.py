"""Configuration of the language model of codes."""

from __future__ import annotations

import dataclasses

from codax.config import Config
from codax.config.parsing import build
from codax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class LMConfig:
    """Language model; the defaults are EnCodec's at 24 kHz (arXiv 2210.13438, section 3.3)."""

    codebooks: int = 32  # most that a frame has; with fewer, the first ones are used
    codebook_size: int = 1024
    dim: int = 200
    layers: int = 5
    heads: int = 8
    hidden: int = 800  # channels of the feed-forward part
    past_context: int = 262  # frames before its own that a frame sees
    period: float = 10_000.0  # longest of the positions' wavelengths, in frames, divided by 2 pi

    def validate(self) -> LMConfig:
        """Returns self, or raises `ConfigError` naming the first field that cannot work."""
        for field in ("codebooks", "layers", "heads", "hidden", "past_context"):
            if getattr(self, field) < 1:
                raise ConfigError(f"config field lm.{field} = {getattr(self, field)}: must be at least 1")
        if not 2 <= self.codebook_size <= 65536:
            raise ConfigError(f"config field lm.codebook_size = {self.codebook_size}: must be 2 to 65536")
        if self.dim < 4 or self.dim % 2 or self.dim % self.heads:
            raise ConfigError(f"config field lm.dim = {self.dim}: must be even, at least 4, a multiple of lm.heads")
        if self.period <= 0:
            raise ConfigError(f"config field lm.period = {self.period}: must be positive")
        return self

    def checked_codebooks(self, count: int | None) -> int:
        """`count`, or all codebooks for None. Raises `ConfigError` if there are not so many."""
        if count is None:
            return self.codebooks
        if not 1 <= count <= self.codebooks:
            raise ConfigError(f"{count} codebooks: the language model has 1 to {self.codebooks}")
        return count

    def to_dict(self) -> dict:
        """Plain values, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict) -> LMConfig:
        """Builds a validated config. Raises `ConfigError` naming a field that is unknown, ill-typed or cannot work."""
        return build(LMConfig, values, "lm.").validate()

    @staticmethod
    def of_recipe(config: Config) -> LMConfig:
        """What `config.lm` asks for, with the codec that the rest of the config describes."""
        wanted, quantizer = config.lm, config.quantizer
        return LMConfig(
            codebooks=wanted.codebooks or quantizer.num_quantizers,
            codebook_size=quantizer.codebook_size,
            dim=wanted.dim,
            layers=wanted.layers,
            heads=wanted.heads,
            hidden=wanted.hidden,
            past_context=int(wanted.past_seconds * config.frame_rate),
        ).validate()
