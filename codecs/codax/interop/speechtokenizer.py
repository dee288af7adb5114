"""Import and export of SpeechTokenizer models (arXiv 2308.16692): folders of config.json and SpeechTokenizer.pt.

The weights have the names of the `encodec` package, plus a bidirectional LSTM in the encoder and a linear head
`transform` on the output of the first quantizer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codax.codec.codec import Codec
from codax.config import Config, ConfigError, EncodecConfig, RecurrentSEANetConfig, presets
from codax.errors import shown
from codax.interop import encodec
from codax.interop.encodec import BAD_VALUES, LayoutError, backwards, powers
from codax.storage.tensors import ModelError, write_folder

WEIGHTS = "SpeechTokenizer.pt"
# SpeechTokenizer's field name, and the path in codax's config.
_MODEL = (("sample_rate", "sample_rate"), ("n_filters", "channels"), ("dimension", "dimension"))
_SEANET = (
    ("lstm_layers", "lstm_layers"),
    ("bidirectional", "bidirectional"),
    ("residual_kernel_size", "residual_kernel_size"),
)
_QUANTIZER = (("n_q", "num_quantizers"), ("codebook_size", "codebook_size"))


def is_config(values: Mapping[str, Any]) -> bool:
    """Whether these are the contents of SpeechTokenizer's config.json."""
    return {"n_q", "semantic_dimension", "strides"} <= set(values)


def config_of(values: Mapping[str, Any]) -> Config:
    """Config of a model's config.json.

    Raises:
      LayoutError: a field is missing, or codax does not support its value.
    """
    config = presets.speechtokenizer_16khz()
    model = config.model_of(EncodecConfig)
    try:
        if values.get("activation", "ELU") != "ELU":
            raise LayoutError(f"activation {shown(values['activation'])}: codax supports ELU only")
        for theirs, ours in _MODEL:
            setattr(model, ours, values[theirs])
        for theirs, ours in _SEANET:
            setattr(model.seanet, ours, values[theirs])
        for theirs, ours in _QUANTIZER:
            setattr(config.quantizer, ours, values[theirs])
        model.strides = backwards(values["strides"])
        model.dilations = powers(values["dilation_base"], values["n_residual_layers"])
        # A head with the width of the latent is the identity, without weights.
        wide = values["semantic_dimension"]
        model.semantic_dimension = 0 if wide == values["dimension"] else wide
        top = config.kbps(config.quantizer.num_quantizers)
        levels = [n for n in (1, 2, 4) if n < config.quantizer.num_quantizers]
        config.quantizer.kbps = (*(config.kbps(n) for n in levels), top)
        config.name = f"speechtokenizer_{model.sample_rate // 1000}khz"
        return Config.from_dict(config.to_dict())
    except (ConfigError, LayoutError):
        raise
    except BAD_VALUES as error:
        raise LayoutError(f"not the config of a SpeechTokenizer ({type(error).__name__}: {error})") from error


def config_values(config: Config) -> dict[str, Any]:
    """The inverse of `config_of`.

    Raises:
      LayoutError: SpeechTokenizer does not support the model.
    """
    model = config.model
    if not isinstance(model, EncodecConfig):
        raise LayoutError(
            f"model {config.name} of family {model.family} does not have the architecture of a SpeechTokenizer"
        )
    net = model.seanet
    base = model.dilations[1] if len(model.dilations) > 1 else 2
    # Properties that its config cannot express.
    fixed = EncodecConfig(causal=False, seanet=RecurrentSEANetConfig(bidirectional=net.bidirectional))
    same = all(
        getattr(model, name) == getattr(fixed, name)
        for name in ("causal", "audio_channels", "kernel_size", "stem_stride", "segment_seconds", "normalize")
    ) and all(
        getattr(net, name) == getattr(fixed.seanet, name)
        for name in ("last_kernel_size", "compress", "shortcut", "norm", "pad_mode")
    )
    fits = model.dilations == tuple(base**i for i in range(len(model.dilations)))
    if not (same and fits) or model.decoder_channels not in (0, model.channels):
        raise LayoutError(f"model {config.name} does not have the architecture of a SpeechTokenizer")
    return {
        **{theirs: getattr(model, ours) for theirs, ours in _MODEL},
        **{theirs: getattr(net, ours) for theirs, ours in _SEANET},
        **{theirs: getattr(config.quantizer, ours) for theirs, ours in _QUANTIZER},
        "strides": list(reversed(model.strides)),
        "dilation_base": base,
        "n_residual_layers": len(model.dilations),
        "semantic_dimension": model.semantic_dimension or model.dimension,
        "activation": "ELU",
    }


def export_speechtokenizer(codec: Codec, folder: str | Path) -> None:
    """Writes a folder for `SpeechTokenizer.load_from_checkpoint`. PyTorch writes the weights.

    Raises:
      CodaxError: unsupported model, a folder that cannot be written, or PyTorch is not installed.
    """
    folder = Path(folder)
    values = config_values(codec.config)
    state = encodec.from_codax(codec.flat(), codec.config, encodec.NATIVE)
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"{folder}: writing {WEIGHTS} needs PyTorch: pip install torch") from error
    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(value.copy()) for name, value in state.items()}, buffer)
    write_folder(folder, {WEIGHTS: buffer.getvalue(), "config.json": json.dumps(values, indent=2) + "\n"})
