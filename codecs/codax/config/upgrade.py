"""Upgrades config files of earlier versions.

Version 1, which its files do not state, had one model section for all families and one quantizer section for all kinds.
Fields of other families or kinds had no effect and are dropped.
"""

from typing import Any

from codax.errors import ConfigError, shown

VERSION = 2

# Fields of every family.
_MODEL = {
    "family", "sample_rate", "audio_channels", "channels", "decoder_channels", "strides", "dimension", "kernel_size",
    "dilations", "semantic_dimension",
}  # fmt: skip
_CONVOLUTIONS = {
    "max_channels", "latent_kernel_size", "stem_stride", "residual_scale", "causal", "weight_norm", "film",
    "segment_seconds", "segment_overlap", "normalize",
}  # fmt: skip
# Fields of version 1 that not all families or kinds have.
_FAMILIES = {
    "soundstream": _CONVOLUTIONS,
    "dac": _CONVOLUTIONS,
    "encodec": {"causal", "segment_seconds", "segment_overlap", "normalize", "seanet"},
    "mimi": {"seanet", "resample_stride", "transformer"},
}
_SEANET_OF_ENCODEC = {"pad_mode", "lstm_layers", "bidirectional", "trim_right_ratio"}
_KINDS = {
    "average": {
        "codebook_size", "gradient", "epsilon", "kmeans_iterations", "kmeans_alternate", "dead_threshold", "dead_ratio",
        "dead_every", "smoothing", "normalise", "beam", "semantic", "projection",
    },
    "factorised": {"codebook_size", "gradient", "projection"},
    "fsq": {"fsq_levels"},
}  # fmt: skip


def upgraded(values: Any) -> Any:
    """Returns the values of a config file in the current version; leaves other errors to parsing.

    Raises:
      ConfigError: the version is unknown.
    """
    if not isinstance(values, dict):
        return values
    version = values.get("version", 1)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ConfigError(f"config field version = {shown(version)}: this codax knows versions 1 to {VERSION}")
    return _from_1(values) if version == 1 else values


def _from_1(values: dict) -> dict:
    values = {**values, "version": VERSION}
    model, quantizer = values.get("model"), values.get("quantizer")
    if isinstance(model, dict):
        model = {"family": "soundstream"} | model
        family = model["family"]
        model = values["model"] = _without_others(model, family, _FAMILIES)
        if family == "mimi" and isinstance(model.get("seanet"), dict):
            model["seanet"] = {k: v for k, v in model["seanet"].items() if k not in _SEANET_OF_ENCODEC}
    if isinstance(quantizer, dict):
        quantizer = {"kind": "average"} | quantizer
        values["quantizer"] = _without_others(quantizer, quantizer["kind"], _KINDS)
    return values


def _without_others(section: dict, name: Any, tables: dict[str, set[str]]) -> dict:
    """Returns a section without the fields of other classes."""
    if not isinstance(name, str) or name not in tables:
        return section
    others = set().union(*tables.values()) - tables[name]
    return {field: value for field, value in section.items() if field not in others}
