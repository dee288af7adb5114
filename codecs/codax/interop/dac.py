"""DAC models (arXiv 2306.06546) in two layouts: Hugging Face transformers' `DacModel`, and Descript's own weights.

Descript numbers the modules that transformers names, and keeps weight normalisation, which is folded here. In both
layouts a codebook's entries are parameters without usage counts, so all counts are set to the same value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from codax.config import Config, ConfigError, DACConfig, FactorisedQuantizerConfig, presets
from codax.interop.encodec import BAD_VALUES, Entries, LayoutError, plain_name
from codax.nets.weightnorm import fold, normed

State = dict[str, np.ndarray]
_CONV, _CONVTR, _ALPHA = (2, 1, 0), (2, 0, 1), (0,)  # permutations of PyTorch's axes


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names of modules in a project; the functions also take the number of blocks `n`.

    Attributes:
      ends: of the encoder's stem, activation and latent convolution; then of the decoder's latent, activation, stem.
      block: of the i-th block of a side, in execution order.
      unit: of the j-th residual unit in a block of a side.
      inner: of a unit's activation, convolution, activation, convolution.
      down, up: of a block's activation and strided convolution, in the encoder and in the decoder.
    """

    ends: Callable[[int], tuple[str, ...]]
    block: Callable[[str, int], str]
    unit: Callable[[str, int], str]
    inner: tuple[str, str, str, str]
    down: tuple[str, str]
    up: tuple[str, str]


HUGGINGFACE = Layout(
    ends=lambda n: ("encoder.conv1", "encoder.snake1", "encoder.conv2", "decoder.conv1", "decoder.snake1",
                    "decoder.conv2"),
    block=lambda side, i: f"{side}.block.{i}",
    unit=lambda side, j: f"res_unit{j + 1}",
    inner=("snake1", "conv1", "snake2", "conv2"),
    down=("snake1", "conv1"),
    up=("snake1", "conv_t1"),
)  # fmt: skip
DESCRIPT = Layout(
    ends=lambda n: ("encoder.block.0", f"encoder.block.{n + 1}", f"encoder.block.{n + 2}", "decoder.model.0",
                    f"decoder.model.{n + 1}", f"decoder.model.{n + 2}"),
    block=lambda side, i: f"encoder.block.{i + 1}.block" if side == "encoder" else f"decoder.model.{i + 1}.block",
    unit=lambda side, j: f"{j if side == 'encoder' else j + 2}.block",
    inner=("0", "1", "2", "3"),
    down=("3", "4"),
    up=("0", "1"),
)  # fmt: skip


def parts(model: DACConfig, layout: Layout) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yields (codax name, name in the layout, permutation of PyTorch's axes) of every activation and convolution."""
    count = len(model.strides)
    stem, act, latent, decoder_latent, decoder_act, decoder_stem = layout.ends(count)
    yield "encoder.stem", stem, _CONV
    for i in range(count):
        prefix, ours = layout.block("encoder", i), f"encoder.block{i}"
        yield from _units(model, layout, "encoder", prefix, ours)
        yield f"{ours}_act", f"{prefix}.{layout.down[0]}", _ALPHA
        yield f"{ours}_down", f"{prefix}.{layout.down[1]}", _CONV
    yield "encoder.act", act, _ALPHA
    yield "encoder.latent", latent, _CONV
    yield "decoder.latent", decoder_latent, _CONV
    for i in range(count):
        prefix, ours = layout.block("decoder", i), f"decoder.block{count - 1 - i}"
        yield f"{ours}_act", f"{prefix}.{layout.up[0]}", _ALPHA
        yield f"{ours}_up", f"{prefix}.{layout.up[1]}", _CONVTR
        yield from _units(model, layout, "decoder", prefix, ours)
    yield "decoder.act", decoder_act, _ALPHA
    yield "decoder.stem", decoder_stem, _CONV


def _units(model: DACConfig, layout: Layout, side: str, prefix: str, ours: str):
    for j in range(len(model.dilations)):
        unit = f"{prefix}.{layout.unit(side, j)}"
        names, orders = ("act0", "dilated", "act1", "pointwise"), (_ALPHA, _CONV, _ALPHA, _CONV)
        for name, theirs, order in zip(names, layout.inner, orders, strict=True):
            yield f"{ours}_unit{j}.{name}", f"{unit}.{theirs}", order


def _take_kernel(entries: Entries, prefix: str) -> np.ndarray:
    """A convolution's kernel; weight normalisation, if any, is folded: its norm is over all axes but the first."""
    order = (0, 1, 2)
    if not entries.has(f"{prefix}.weight_g"):
        return entries.take(f"{prefix}.weight", order)
    direction, scale = (jnp.asarray(entries.take(f"{prefix}.weight_{part}", order)) for part in "vg")
    if scale.shape != (len(direction), 1, 1):
        raise LayoutError(f"{prefix}.weight_g has the shape {list(scale.shape)}, expected [{len(direction)}, 1, 1]")
    return np.asarray(normed(direction, scale))


def to_codax(state: Mapping[str, np.ndarray], config: Config, layout: Layout) -> dict[str, Any]:
    """Converts weights from a layout to codax's flat variables.

    Raises:
      LayoutError: an entry is missing, unknown, or has the wrong number of axes.
    """
    entries = Entries({plain_name(name): value for name, value in state.items()})
    flat: dict[str, Any] = {}
    for ours, theirs, order in parts(config.model_of(DACConfig), layout):
        if order == _ALPHA:
            flat[f"params.{ours}.alpha"] = entries.take(f"{theirs}.alpha", (0, 1, 2)).reshape(-1)
        else:
            flat[f"params.{ours}.kernel"] = _take_kernel(entries, theirs).transpose(order)
            flat[f"params.{ours}.bias"] = entries.take(f"{theirs}.bias", (0,))
    levels = [f"quantizer.quantizers.{level}" for level in range(config.quantizer.num_quantizers)]
    for ours, theirs in (("inward", "in_proj"), ("outward", "out_proj")):
        kernels = [_take_kernel(entries, f"{prefix}.{theirs}") for prefix in levels]
        if {kernel.shape for kernel in kernels} != {(*kernels[0].shape[:2], 1)}:
            raise LayoutError(f"{theirs} does not have the same shape, of width 1, at all levels")
        flat[f"params.quantizer.{ours}.kernel"] = np.stack([kernel[..., 0].T for kernel in kernels])
        flat[f"params.quantizer.{ours}.bias"] = entries.stack((f"{prefix}.{theirs}.bias" for prefix in levels), (0,))
    books = (f"{prefix}.codebook.weight" for prefix in levels)
    flat["params.quantizer.embedding"] = entries.stack(books, (0, 1))
    entries.check_empty()
    flat = {name: np.ascontiguousarray(value) for name, value in flat.items()}
    count = np.ones((len(levels), config.quantizer.codebook_size), np.float32)
    return flat | {"codebook.quantizer.count": count, "codebook.quantizer.initialised": np.asarray(True)}


def from_codax(flat: Mapping[str, np.ndarray], config: Config, layout: Layout) -> State:
    """The inverse of `to_codax`, with weight normalisation folded in."""
    variables = unflatten_dict(dict(flat), sep=".")
    params = {k: np.asarray(v) for k, v in flatten_dict(fold(variables["params"]), sep=".").items()}
    state: State = {}
    for ours, theirs, order in parts(config.model_of(DACConfig), layout):
        if order == _ALPHA:
            state[f"{theirs}.alpha"] = params[f"{ours}.alpha"].reshape(1, -1, 1)
        else:
            state[f"{theirs}.weight"] = params[f"{ours}.kernel"].transpose(np.argsort(order))
            state[f"{theirs}.bias"] = params[f"{ours}.bias"]
    for level in range(config.quantizer.num_quantizers):
        prefix = f"quantizer.quantizers.{level}"
        for ours, theirs in (("inward", "in_proj"), ("outward", "out_proj")):
            state[f"{prefix}.{theirs}.weight"] = params[f"quantizer.{ours}.kernel"][level].T[:, :, None]
            state[f"{prefix}.{theirs}.bias"] = params[f"quantizer.{ours}.bias"][level]
        state[f"{prefix}.codebook.weight"] = params["quantizer.embedding"][level]
    return {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}


# Field names of Hugging Face and of Descript's files. Widths and strides are handled in `_config`.
_FIELDS = {
    "sampling_rate": "sample_rate",
    "encoder_hidden_size": "encoder_dim",
    "downsampling_ratios": "encoder_rates",
    "upsampling_ratios": "decoder_rates",
    "hidden_size": "latent_dim",
    "decoder_hidden_size": "decoder_dim",
    "n_codebooks": "n_codebooks",
    "codebook_size": "codebook_size",
    "codebook_dim": "codebook_dim",
}


def config_from_huggingface(values: Mapping[str, Any]) -> Config:
    """Config of a transformers `DacConfig` (its config.json).

    Raises:
      LayoutError: a field is missing, or codax does not support its value.
    """
    config = presets.dac_44khz()
    model, quantizer = config.model, config.quantizer
    try:
        model.sample_rate = values["sampling_rate"]
        model.channels = values["encoder_hidden_size"]
        model.strides = tuple(values["downsampling_ratios"])
        wide = 2 ** len(model.strides)
        model.dimension = values.get("hidden_size") or model.channels * wide
        model.decoder_channels, odd = divmod(values["decoder_hidden_size"], wide)
        if odd:
            raise LayoutError(f"decoder_hidden_size {values['decoder_hidden_size']} does not halve with every block")
        up = values.get("upsampling_ratios")
        if up is not None and tuple(up) != model.strides[::-1]:
            raise LayoutError("upsampling_ratios are not downsampling_ratios in reverse order")
        quantizer.num_quantizers = values["n_codebooks"]
        quantizer.codebook_size = values["codebook_size"]
        quantizer.projection = values["codebook_dim"]
        quantizer.kbps = ()
        config = Config.from_dict(config.to_dict())
        config.quantizer.kbps = presets.quarter_half_and_all(config)
        config.name = f"dac_{config.model.sample_rate // 1000}khz"
        return config.validate()
    except (ConfigError, LayoutError):
        raise
    except BAD_VALUES as error:
        raise LayoutError(f"not the config of a DAC ({type(error).__name__}: {error})") from error


def is_checkpoint(loaded: Mapping[str, Any]) -> bool:
    """Whether this is a checkpoint of Descript's package: weights and the arguments of the model."""
    return (
        isinstance(loaded.get("state_dict"), Mapping)
        and "quantizer.quantizers.0.codebook.weight" in loaded["state_dict"]
    )


def read_checkpoint(loaded: Mapping[str, Any]) -> tuple[Config, Mapping[str, np.ndarray]]:
    """Config and weights of a checkpoint of Descript's package.

    Raises:
      LayoutError: the arguments of the model are missing, or codax does not support it.
    """
    metadata = loaded.get("metadata")
    values = metadata.get("kwargs") if isinstance(metadata, Mapping) else None
    if not isinstance(values, Mapping):
        raise LayoutError("metadata.kwargs, the arguments of the model, is missing")
    renamed = {ours: values[theirs] for ours, theirs in _FIELDS.items() if theirs in values}
    return config_from_huggingface(renamed), loaded["state_dict"]


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """The inverse of `config_from_huggingface`.

    Raises:
      LayoutError: transformers does not support the model.
    """
    model, quantizer = config.model, config.quantizer
    wide = 2 ** len(model.strides)
    if not isinstance(model, DACConfig) or not isinstance(quantizer, FactorisedQuantizerConfig):
        raise LayoutError(f"model {config.name} does not have the architecture of a DAC")
    fixed = presets.dac_44khz().model
    same = all(
        getattr(model, name) == getattr(fixed, name)
        for name in (
            "audio_channels", "max_channels", "kernel_size", "latent_kernel_size", "dilations", "stem_stride",
            "causal", "film", "normalize",
        )
    )  # fmt: skip
    if not same or model.dimension != model.channels * wide:
        raise LayoutError(f"model {config.name} does not have the architecture of a DAC")
    if quantizer.codebook_size != 2**config.bits_per_code:
        raise LayoutError(f"codebooks of {quantizer.codebook_size} entries: transformers supports powers of two only")
    return {
        "architectures": ["DacModel"],
        "model_type": "dac",
        "torch_dtype": "float32",
        "sampling_rate": model.sample_rate,
        "encoder_hidden_size": model.channels,
        "downsampling_ratios": list(model.strides),
        "upsampling_ratios": list(reversed(model.strides)),
        "hop_length": config.hop,
        "hidden_size": model.dimension,
        "decoder_hidden_size": (model.decoder_channels or model.channels) * wide,
        "n_codebooks": quantizer.num_quantizers,
        "codebook_size": quantizer.codebook_size,
        "codebook_dim": quantizer.projection,
        "quantizer_dropout": 0.0,
        "codebook_loss_weight": 1.0,
        "commitment_loss_weight": 0.25,
    }
