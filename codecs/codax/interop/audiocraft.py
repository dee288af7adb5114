"""audiocraft exports: EnCodec's weights in audiocraft's layout, with the training configuration as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from codax.config import Config, ConfigError, EncodecConfig, presets
from codax.errors import shown
from codax.interop.encodec import BAD_VALUES, NORMS, PADS, LayoutError, backwards, powers

_NORMS = {**NORMS, "none": "none"}
_LONGEST_TEXT = 1 << 18
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def is_export(loaded: Mapping[str, Any]) -> bool:
    """Whether this is the output of `audiocraft.utils.export.export_encodec`."""
    return isinstance(loaded.get("best_state"), Mapping) and isinstance(loaded.get("xp.cfg"), str)


def config_of(text: str) -> Config:
    """The config of an export's YAML.

    Raises:
      LayoutError: not YAML, a field is missing, or codax does not support the model.
    """
    import yaml

    if len(text) > _LONGEST_TEXT:
        raise LayoutError(f"the configuration is longer than {_LONGEST_TEXT} characters")
    try:
        values = _Values(yaml.safe_load(text))
        config = presets.encodec_24khz()
        model = config.model_of(EncodecConfig)
        net = model.seanet
        config.name = "encodec_audiocraft"
        model.sample_rate, model.audio_channels = values("sample_rate"), values("channels")
        model.causal = values("encodec.causal")
        model.channels, model.dimension = values("seanet.n_filters"), values("seanet.dimension")
        model.kernel_size = values("seanet.kernel_size")
        model.strides = backwards(values("seanet.ratios"))
        model.dilations = powers(values("seanet.dilation_base"), values("seanet.n_residual_layers"))
        net.residual_kernel_size, net.last_kernel_size = (
            values("seanet.residual_kernel_size"),
            values("seanet.last_kernel_size"),
        )
        net.compress, net.lstm_layers = values("seanet.compress"), values("seanet.lstm")
        net.norm, net.pad_mode = _NORMS[values("seanet.norm")], PADS[values("seanet.pad_mode")]
        net.shortcut = "identity" if values("seanet.true_skip") else "conv"
        net.trim_right_ratio = float(values("seanet.decoder.trim_right_ratio"))
        config.quantizer.num_quantizers, config.quantizer.codebook_size = values("rvq.n_q"), values("rvq.bins")
        for name, supported in (
            ("encodec.autoencoder", "seanet"),
            ("encodec.quantizer", "rvq"),
            ("encodec.renormalize", False),
            ("seanet.activation", "ELU"),
            ("seanet.disable_norm_outer_blocks", 0),
            ("seanet.decoder.final_activation", None),
        ):
            if values(name) != supported:
                raise LayoutError(f"{name} = {shown(values(name))}: codax imports {supported!r} only")
        levels = config.quantizer.num_quantizers
        config.quantizer.kbps = tuple(config.kbps(2**i) for i in range(levels.bit_length()) if 2**i <= levels)
        return Config.from_dict(config.to_dict())
    except ConfigError:
        raise
    except (yaml.YAMLError, RecursionError, *BAD_VALUES) as error:
        raise LayoutError(f"not the configuration of an audiocraft codec ({type(error).__name__}: {error})") from error


class _Values:
    """Values by dotted name; resolves OmegaConf's `${other.name}`."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree

    def __call__(self, name: str, depth: int = 0) -> Any:
        value = self._tree
        for part in name.split("."):
            value = value[part]
        reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference and depth > 8:
            raise ValueError(f"{name} refers to itself")
        return self(reference[1], depth + 1) if reference else value
