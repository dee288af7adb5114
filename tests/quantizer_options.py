"""Every option of the quantizer's configuration, for tests that all of them must pass."""

from __future__ import annotations

from codax.config import Config

OPTIONS: dict[str, dict] = {
    "average": {},
    "normalised": {"normalise": True},
    "rotation": {"gradient": "rotation"},
    "factorised": {"kind": "factorised", "projection": 3},
    "factorised_rotation": {"kind": "factorised", "projection": 3, "gradient": "rotation"},
    "fsq": {"kind": "fsq", "fsq_levels": (5, 3)},  # no power of two
}


def with_option(config: Config, name: str) -> Config:
    """The configuration with an option of the quantizer; codebooks of 16 entries, or 15."""
    config.quantizer.codebook_size = 16
    options = dict(OPTIONS[name])
    quantizer = config.quantizer = config.quantizer.of_class(options.pop("kind", "average"))
    for field, value in options.items():
        setattr(quantizer, field, value)
    config.loss.codebook = 1.0 if quantizer.kind == "factorised" else 0.0
    return config.validate()
