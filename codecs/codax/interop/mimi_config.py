"""Conversion of Mimi's configs: transformers' config.json and Kyutai's mimi_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codax.config import Config, ConfigError, EMAQuantizerConfig, MimiConfig, presets
from codax.errors import shown
from codax.interop.encodec import BAD_VALUES, LayoutError, backwards, powers

# Field name of transformers' MimiConfig, and the path in codax's config.
_HF = (
    ("sampling_rate", "model.sample_rate"),
    ("audio_channels", "model.audio_channels"),
    ("num_filters", "model.channels"),
    ("hidden_size", "model.dimension"),
    ("kernel_size", "model.kernel_size"),
    ("residual_kernel_size", "model.seanet.residual_kernel_size"),
    ("last_kernel_size", "model.seanet.last_kernel_size"),
    ("compress", "model.seanet.compress"),
    ("num_hidden_layers", "model.transformer.layers"),
    ("num_attention_heads", "model.transformer.heads"),
    ("intermediate_size", "model.transformer.hidden"),
    ("sliding_window", "model.transformer.context"),
    ("layer_scale_initial_scale", "model.transformer.layer_scale"),
    ("num_quantizers", "quantizer.num_quantizers"),
    ("num_semantic_quantizers", "quantizer.semantic"),
    ("codebook_size", "quantizer.codebook_size"),
    ("codebook_dim", "quantizer.projection"),
)
# Fields with a single supported value.
_HF_FIXED = {
    "hidden_act": "gelu",
    "attention_bias": False,
    "norm_eps": 1e-5,
    "pad_mode": "constant",
    "use_causal_conv": True,
    "trim_right_ratio": 1.0,
}


def _get(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def _set(config: Any, path: str, value: Any) -> None:
    parent, _, name = path.rpartition(".")
    setattr(_get(config, parent) if parent else config, name, value)


def _completed(config: Config) -> Config:
    """The validated config, with a name and rates for evaluation."""
    config.name = f"mimi_{config.model.sample_rate // 1000}khz"
    levels = [n for n in (1, 4, 8, 16, 32) if n < config.quantizer.num_quantizers]
    config.quantizer.kbps = tuple(config.kbps(n) for n in (*levels, config.quantizer.num_quantizers))
    return Config.from_dict(config.to_dict())


def config_from_huggingface(values: Mapping[str, Any]) -> Config:
    """Config of a transformers `MimiConfig` (its config.json); missing fields have the released model's values.

    Raises:
      LayoutError: codax does not support the value of a field.
    """
    config = presets.mimi_24khz()
    model = config.model_of(MimiConfig)
    try:
        for name, supported in _HF_FIXED.items():
            if values.get(name, supported) != supported:
                raise LayoutError(f"{name} is {shown(values[name])}: codax supports {supported!r} only")
        for theirs, ours in _HF:
            _set(config, ours, values.get(theirs, _get(config, ours)))
        heads = model.transformer.heads
        if (values.get("num_key_value_heads") or heads) != heads:
            raise LayoutError("num_key_value_heads is not num_attention_heads")
        model.strides = backwards(values.get("upsampling_ratios") or (8, 6, 5, 4))
        model.dilations = powers(values.get("dilation_growth_rate", 2), values.get("num_residual_layers", 1))
        model.seanet.shortcut = "conv" if values.get("use_conv_shortcut", False) else "identity"
        rotary = values.get("rope_parameters") or {}
        model.transformer.period = float(rotary.get("rope_theta", values.get("rope_theta", 10_000.0)))
        if (values.get("upsample_groups") or model.dimension) != model.dimension:
            raise LayoutError("upsample_groups is not hidden_size")
        rate = values.get("frame_rate") or values.get("_frame_rate")
        if rate:
            model.resample_stride = round(config.frame_rate * model.resample_stride / float(rate))
        return _completed(config)
    except (ConfigError, LayoutError):
        raise
    except BAD_VALUES as error:
        raise LayoutError(f"not the config of a Mimi model ({type(error).__name__}: {error})") from error


def check_shape(config: Config) -> int:
    """Returns the base of the dilations. Raises LayoutError if neither Kyutai nor transformers supports the model."""
    model, q = config.model, config.quantizer
    if not isinstance(model, MimiConfig):
        raise LayoutError(f"model {config.name} of family {model.family} does not have the architecture of a Mimi")
    base = model.dilations[1] if len(model.dilations) > 1 else 2
    fits = (
        model.dilations == tuple(base**i for i in range(len(model.dilations)))
        and model.decoder_channels in (0, model.channels)
        and model.stem_stride == 1
        and model.resample_stride == 2
        and isinstance(q, EMAQuantizerConfig)
        and q.semantic >= 1
        and q.projection > 0
    )
    if not fits:
        raise LayoutError(
            f"model {config.name} does not have the architecture of a Mimi: two latent steps per frame, a split "
            "quantizer with projections"
        )
    return base


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """The inverse of `config_from_huggingface`. Raises LayoutError if transformers does not support the model."""
    base, model = check_shape(config), config.model_of(MimiConfig)
    return {
        "architectures": ["MimiModel"],
        "model_type": "mimi",
        "torch_dtype": "float32",
        **{theirs: _get(config, ours) for theirs, ours in _HF},
        **_HF_FIXED,
        "num_key_value_heads": model.transformer.heads,
        "head_dim": model.dimension // model.transformer.heads,
        "vector_quantization_hidden_dimension": config.quantizer.projection,
        "upsampling_ratios": list(reversed(model.strides)),
        "num_residual_layers": len(model.dilations),
        "dilation_growth_rate": base,
        "use_conv_shortcut": model.seanet.shortcut == "conv",
        "upsample_groups": model.dimension,
        "rope_theta": model.transformer.period,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.transformer.period},
        "frame_rate": config.frame_rate,
    }


# Field name of Kyutai's mimi_config.json, and the path in codax's config.
_KYUTAI = (
    ("sample_rate", "model.sample_rate"),
    ("channels", "model.audio_channels"),
    ("seanet.n_filters", "model.channels"),
    ("seanet.dimension", "model.dimension"),
    ("seanet.kernel_size", "model.kernel_size"),
    ("seanet.residual_kernel_size", "model.seanet.residual_kernel_size"),
    ("seanet.last_kernel_size", "model.seanet.last_kernel_size"),
    ("seanet.compress", "model.seanet.compress"),
    ("transformer.num_layers", "model.transformer.layers"),
    ("transformer.num_heads", "model.transformer.heads"),
    ("transformer.dim_feedforward", "model.transformer.hidden"),
    ("transformer.context", "model.transformer.context"),
    ("transformer.layer_scale", "model.transformer.layer_scale"),
    ("transformer.max_period", "model.transformer.period"),
    ("quantizer.n_q", "quantizer.num_quantizers"),
    ("quantizer.bins", "quantizer.codebook_size"),
    ("quantizer.dimension", "quantizer.projection"),
)


def config_from_kyutai(values: Mapping[str, Any]) -> Config:
    """Config of a mimi_config.json. Raises LayoutError as `config_from_huggingface` does."""
    config = presets.mimi_24khz()
    model = config.model_of(MimiConfig)
    try:
        for theirs, ours in _KYUTAI:
            value: Any = values
            for part in theirs.split("."):
                value = value[part]
            _set(config, ours, type(_get(config, ours))(value))
        net = values["seanet"]
        model.strides = backwards(net["ratios"])
        model.dilations = powers(net["dilation_base"], net["n_residual_layers"])
        model.seanet.shortcut = "identity" if net.get("true_skip", True) else "conv"
        config.quantizer.semantic = int(values["quantizer"].get("n_q_semantic", 1))
        model.resample_stride = round(config.frame_rate * model.resample_stride / float(values["frame_rate"]))
        return _completed(config)
    except (ConfigError, LayoutError):
        raise
    except BAD_VALUES as error:
        raise LayoutError(f"not the config of a Mimi model ({type(error).__name__}: {error})") from error


def config_to_kyutai(config: Config) -> dict[str, Any]:
    """The inverse of `config_from_kyutai`, for `moshi.models.loaders.get_mimi`."""
    base, model = check_shape(config), config.model_of(MimiConfig)
    values: dict[str, Any] = {"frame_rate": config.frame_rate, "seanet": {}, "transformer": {}, "quantizer": {}}
    for theirs, ours in _KYUTAI:
        parent, _, name = theirs.rpartition(".")
        (values[parent] if parent else values)[name] = _get(config, ours)
    values["seanet"] |= {
        "channels": model.audio_channels,
        "causal": True,
        "n_residual_layers": len(model.dilations),
        "activation": "ELU",
        "dilation_base": base,
        "disable_norm_outer_blocks": 0,
        "norm": "none",
        "pad_mode": "constant",
        "ratios": list(reversed(model.strides)),
        "true_skip": model.seanet.shortcut == "identity",
    }
    values["transformer"] |= {
        "d_model": model.dimension,
        "causal": True,
        "conv_layout": True,
        "gating": "none",
        "norm": "layer_norm",
        "positional_embedding": "rope",
        "input_dimension": model.dimension,
        "output_dimensions": [model.dimension],
    }
    values["quantizer"] |= {
        "n_q_semantic": config.quantizer.semantic,
        "input_dimension": model.dimension,
        "output_dimension": model.dimension,
    }
    return values
