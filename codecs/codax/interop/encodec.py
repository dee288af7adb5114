"""EnCodec's weights in three layouts: the `encodec` package, audiocraft's exports and Hugging Face transformers.

The layouts number the layers of one sequence and differ only in names, so one table of layers serves all of them. Axes
are permuted only in this module: PyTorch's convolutions are [out, in, width], transposed ones [in, out, width], codax's
[width, in, out]. PyTorch's two LSTM biases are one in codax; on export the second is 0.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from codax.config import Config, ConfigError, EMAQuantizerConfig, EncodecConfig, SEANetModelConfig, presets
from codax.errors import CodaxError
from codax.nets.lstm import REVERSE
from codax.nets.weightnorm import DIRECTION, KERNEL, SCALE

State = dict[str, np.ndarray]
_LSTM_NAMES = (("kernel", "weight_ih"), ("recurrent", "weight_hh"))
_BIAS, _SECOND_BIAS = "bias_ih", "bias_hh"
_ORDERS = {"conv": (2, 1, 0), "convtr": (2, 0, 1)}  # permutation of PyTorch's axes to [width, in, out]
# Name in codax and in the layouts, and the axes.
_BOOK = (("embedding", "embed", (0, 1)), ("total", "embed_avg", (0, 1)), ("count", "cluster_size", (0,)))


# What the conversion of a config raises for values of the wrong kind.
BAD_VALUES = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)


class LayoutError(CodaxError):
    """Weights or a config do not follow the layout; the message names the entry."""


def powers(base: int, count: int) -> tuple[int, ...]:
    """Returns the dilations base**0, base**1, ... of a config. Raises ValueError for more than 16, or beyond 2**16."""
    if not 0 <= count <= 16 or not 0 <= base <= 1 << 16:
        raise ValueError(f"{count} dilations that are powers of {base}")
    return tuple(base**i for i in range(count))


def backwards(ratios: Sequence[int]) -> tuple[int, ...]:
    """Returns strides in the encoder's order from those of a config. Raises ValueError for more than 64."""
    if len(ratios) > 64:
        raise ValueError(f"{len(ratios)} strides")
    return tuple(reversed(ratios))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Name templates of a project: `{side}` is encoder or decoder, `{index}` the layer number, `{sub}` a sub-module."""

    layer: str
    conv: str
    convtr: str
    norm: str
    codebook: str


NATIVE = Layout(
    "{side}.model.{index}{sub}", ".conv.conv", ".convtr.convtr", "norm", "quantizer.vq.layers.{level}._codebook"
)
STEM = "encoder.model.0.conv.conv"
HUGGINGFACE = Layout("{side}.layers.{index}{sub}", ".conv", ".conv", "norm", "quantizer.layers.{level}.codebook")


def layers(model: SEANetModelConfig) -> Iterator[tuple[str, str, int, str, str]]:
    """Yields (kind, side, index, sub-layer, codax name) of every layer with weights.

    kind is "conv", "convtr" or "lstm"; as in the layouts, index also counts activations.
    """
    units = len(model.dilations)

    def block(side: str, index: int, name: str) -> Iterator[tuple[str, str, int, str, str]]:
        for sub, part in ((".block.1", "dilated"), (".block.3", "pointwise"), (".shortcut", "shortcut")):
            if part != "shortcut" or model.seanet.shortcut == "conv":
                yield "conv", side, index, sub, f"{name}.{part}"

    yield "conv", "encoder", 0, "", "stem"
    index = 1
    for i in range(len(model.strides)):
        for j in range(units):
            yield from block("encoder", index + j, f"block{i}_unit{j}")
        yield "conv", "encoder", index + units + 1, "", f"block{i}_down"
        index += units + 2
    if model.seanet.lstm_layers:
        yield "lstm", "encoder", index, "", "lstm"
        index += 1
    yield "conv", "encoder", index + 1, "", "latent"

    yield "conv", "decoder", 0, "", "latent"
    index = 1
    if model.seanet.lstm_layers:
        yield "lstm", "decoder", index, "", "lstm"
        index += 1
    for i in reversed(range(len(model.strides))):
        yield "convtr", "decoder", index + 1, "", f"block{i}_up"
        for j in range(units):
            yield from block("decoder", index + 2 + j, f"block{i}_unit{j}")
        index += units + 2
    yield "conv", "decoder", index + 1, "", "stem"


def arrays(config: Config, layout: Layout) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yields (codax name, name in the layout, permutation of PyTorch's axes) of every parameter.

    An LSTM's bias corresponds to PyTorch's first; the second has "bias_hh" in its name.
    """
    model = config.model_of(SEANetModelConfig)
    net = model.seanet
    for kind, side, index, sub, name in layers(model):
        prefix = layout.layer.format(side=side, index=index, sub=sub)
        path = f"params.{side}.{name}"
        if kind == "lstm":
            directions = ("", REVERSE) if net.bidirectional and side == "encoder" else ("",)
            for i, direction in itertools.product(range(net.lstm_layers), directions):
                for ours, theirs in _LSTM_NAMES:
                    yield f"{path}.{ours}{i}{direction}", f"{prefix}.lstm.{theirs}_l{i}{direction}", (1, 0)
                yield f"{path}.bias{i}{direction}", f"{prefix}.lstm.{_BIAS}_l{i}{direction}", (0,)
            continue
        conv = prefix + (layout.conv if kind == "conv" else layout.convtr)
        order = _ORDERS[kind]
        if net.norm == "weight":
            yield f"{path}.{SCALE}", f"{conv}.weight_g", order
            yield f"{path}.{DIRECTION}", f"{conv}.weight_v", order
        else:
            yield f"{path}.{KERNEL}", f"{conv}.weight", order
        yield f"{path}.bias", f"{conv}.bias", (0,)
        if net.norm == "group":
            norm = f"{conv.rpartition('.')[0]}.{layout.norm}"
            yield f"{path}.norm.scale", f"{norm}.weight", (0,)
            yield f"{path}.norm.bias", f"{norm}.bias", (0,)
    if config.model.semantic_dimension:
        yield "params.transform.kernel", "transform.weight", (1, 0)
        yield "params.transform.bias", "transform.bias", (0,)


class Entries:
    """Weights by name; `check_empty` makes sure that all of them were used."""

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self._unused = dict(state)

    def take(self, name: str, order: tuple[int, ...] | None = None) -> np.ndarray:
        """Removes and returns an entry as float32, with its axes in this order; None = any number of axes.

        Raises:
          LayoutError: it is missing, not an array of real numbers, or has another number of axes.
        """
        if name not in self._unused:
            raise LayoutError(f"{name} is missing")
        value = self._unused.pop(name)
        if not is_array(value):
            raise LayoutError(f"{name} is not an array of numbers, but {type(value).__name__}")
        if order is None:
            return np.asarray(value, np.float32)
        if value.ndim != len(order):
            raise LayoutError(f"{name} has the shape {list(value.shape)}, expected {len(order)} axes")
        return np.asarray(value, np.float32).transpose(order)

    def stack(self, names: Iterable[str], order: tuple[int, ...], axis: int = 0) -> np.ndarray:
        """Takes entries of one shape and stacks them along `axis`. Raises LayoutError as `take`."""
        names = list(names)
        parts = [self.take(name, order) for name in names]
        for name, part in zip(names, parts, strict=True):
            if part.shape != parts[0].shape:
                raise LayoutError(f"{name} does not have the shape of {names[0]}, the same part of another level")
        return np.stack(parts, axis)

    def has(self, name: str) -> bool:
        """Whether there is an unused entry of this name."""
        return name in self._unused

    def check_empty(self) -> None:
        """Raises LayoutError if an entry was not used."""
        if self._unused:
            raise LayoutError(f"{min(self._unused)} does not belong to the model")


def is_array(value: object) -> TypeGuard[np.ndarray]:
    """Whether this is an array of real numbers or truth values; entries of checkpoints may be anything."""
    return isinstance(value, np.ndarray) and (value.dtype.kind in "biuf" or value.dtype.name == "bfloat16")


def to_codax(state: Mapping[str, np.ndarray], config: Config, layout: Layout) -> dict[str, Any]:
    """Converts weights from a layout to codax's flat variables ("params.encoder.stem.kernel": array, ...).

    Raises:
      LayoutError: an entry is missing or unknown.
    """
    entries = Entries({plain_name(name): value for name, value in state.items()})
    take = entries.take
    flat: dict[str, Any] = {}
    for ours, theirs, order in arrays(config, layout):
        flat[ours] = take(theirs, order)
        if _BIAS in theirs:
            second = take(theirs.replace(_BIAS, _SECOND_BIAS), order)
            if second.shape != flat[ours].shape:
                raise LayoutError(f"{theirs} and the second bias have several shapes")
            flat[ours] = flat[ours] + second

    prefixes = [layout.codebook.format(level=level) for level in range(config.quantizer.num_quantizers)]
    for ours, theirs, order in _BOOK:
        flat[f"codebook.quantizer.{ours}"] = entries.stack((f"{prefix}.{theirs}" for prefix in prefixes), order)
    inited = [bool(take(f"{prefix}.inited").all()) for prefix in prefixes]
    entries.check_empty()
    flat = {name: np.ascontiguousarray(value) for name, value in flat.items()}
    return flat | {"codebook.quantizer.initialised": np.asarray(all(inited))}


def plain_name(name: str) -> str:
    """Converts PyTorch's newer names of weight normalisation to the older ones."""
    plain = name.replace(".parametrizations.weight.original0", ".weight_g")
    return plain.replace(".parametrizations.weight.original1", ".weight_v")


def from_codax(flat: Mapping[str, np.ndarray], config: Config, layout: Layout) -> State:
    """The inverse of `to_codax`.

    Raises:
      LayoutError: the layout does not support the codebooks.
    """
    check_codebooks(config)
    state: State = {}
    for ours, theirs, order in arrays(config, layout):
        state[theirs] = flat[ours].transpose(np.argsort(order))
        if _BIAS in theirs:
            state[theirs.replace(_BIAS, _SECOND_BIAS)] = np.zeros_like(flat[ours])
    inited = np.asarray([float(flat["codebook.quantizer.initialised"])], np.float32)
    for level in range(config.quantizer.num_quantizers):
        prefix = layout.codebook.format(level=level)
        for ours, theirs, _ in _BOOK:
            state[f"{prefix}.{theirs}"] = flat[f"codebook.quantizer.{ours}"][level]
        state[f"{prefix}.inited"] = inited
    return {name: np.ascontiguousarray(value) for name, value in state.items()}


def check_codebooks(config: Config) -> None:
    """Raises LayoutError for codebooks without EMA counts (those of DAC) or with cosine search."""
    if not isinstance(config.quantizer, EMAQuantizerConfig):
        raise LayoutError(f"model {config.name} has {config.quantizer.kind} codebooks, which the layout does not have")
    if config.quantizer.normalise:
        raise LayoutError(f"model {config.name} searches its codebooks by angle; the layout has no field for it")


def config_of_state(state: Mapping[str, np.ndarray]) -> Config:
    """Derives the config of weights in the `encodec` package's layout: a released model, or one of another size.

    The weights do not determine every field. Stereo is taken as the 48 kHz model, mono as the 24 kHz one.

    Raises:
      LayoutError: these are not EnCodec's weights.
    """
    entries = Entries({plain_name(name): value for name, value in state.items()})
    stem = next((f"{STEM}.{name}" for name in ("weight_v", "weight") if entries.has(f"{STEM}.{name}")), None)
    levels = sum(name.startswith("quantizer.vq.layers.") and name.endswith("._codebook.embed") for name in state)
    if stem is None or not levels:
        raise LayoutError("not the weights of an EnCodec model")
    channels, audio_channels, _ = entries.take(stem, (0, 1, 2)).shape
    config = presets.encodec_48khz() if audio_channels == 2 else presets.encodec_24khz()
    config.model.channels = channels
    book = entries.take(f"{NATIVE.codebook.format(level=0)}.embed", (0, 1))
    config.quantizer.codebook_size, config.model.dimension = book.shape
    config.quantizer.num_quantizers = levels
    config.quantizer.kbps = tuple(k for k in config.quantizer.kbps if k <= config.kbps(levels))
    return config.validate()


# Hugging Face's field name, and the path in codax's config.
_HF_MODEL = (
    ("sampling_rate", "sample_rate"),
    ("audio_channels", "audio_channels"),
    ("num_filters", "channels"),
    ("hidden_size", "dimension"),
    ("kernel_size", "kernel_size"),
    ("use_causal_conv", "causal"),
    ("normalize", "normalize"),
)
_HF_SEANET = (
    ("residual_kernel_size", "residual_kernel_size"),
    ("last_kernel_size", "last_kernel_size"),
    ("compress", "compress"),
    ("num_lstm_layers", "lstm_layers"),
)
NORMS = {"weight_norm": "weight", "time_group_norm": "group"}
PADS = {"reflect": "reflect", "constant": "zeros", "replicate": "replicate"}


def config_from_huggingface(values: Mapping[str, Any]) -> Config:
    """Config of a transformers `EncodecConfig` (its config.json).

    Raises:
      LayoutError: a field is missing, or codax does not support its value.
    """
    config = presets.encodec_24khz()
    model = config.model_of(EncodecConfig)
    net = model.seanet
    try:
        for theirs, ours in _HF_MODEL:
            setattr(model, ours, values[theirs])
        for theirs, ours in _HF_SEANET:
            setattr(net, ours, values[theirs])
        model.strides = backwards(values["upsampling_ratios"])
        model.dilations = powers(values["dilation_growth_rate"], values["num_residual_layers"])
        model.segment_seconds = float(values["chunk_length_s"] or 0.0)
        if values["overlap"] is not None:
            model.segment_overlap = float(values["overlap"])
        net.norm, net.pad_mode = NORMS[values["norm_type"]], PADS[values["pad_mode"]]
        net.shortcut = "conv" if values.get("use_conv_shortcut", True) else "identity"
        net.trim_right_ratio = float(values["trim_right_ratio"])
        config.quantizer.codebook_size = values["codebook_size"]
        config.quantizer.kbps = tuple(float(k) for k in values["target_bandwidths"])
        # The number of levels of the highest bandwidth.
        config.quantizer.num_quantizers = int(1000 * config.quantizer.kbps[-1] // (1000 * config.kbps(1)))
        config.name = f"encodec_{model.sample_rate // 1000}khz"
        return Config.from_dict(config.to_dict())
    except ConfigError:
        raise
    except BAD_VALUES as error:
        raise LayoutError(f"not the config of an EnCodec model ({type(error).__name__}: {error})") from error


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """The inverse of `config_from_huggingface`.

    Raises:
      LayoutError: transformers does not support the model.
    """
    model = config.model
    if not isinstance(model, EncodecConfig):
        raise LayoutError(f"model {config.name} of family {model.family} is no EncodecModel")
    net = model.seanet
    growth = model.dilations[1] if len(model.dilations) > 1 else 2
    fits = model.stem_stride == 1 and model.dilations == tuple(growth**i for i in range(len(model.dilations)))
    names = {v: k for k, v in NORMS.items()}
    if not fits or net.norm not in names or model.decoder_channels not in (0, model.channels):
        raise LayoutError("transformers has no EncodecModel with these strides, dilations, norm or widths")
    return {
        "architectures": ["EncodecModel"],
        "model_type": "encodec",
        "torch_dtype": "float32",
        **{theirs: getattr(model, ours) for theirs, ours in _HF_MODEL},
        **{theirs: getattr(net, ours) for theirs, ours in _HF_SEANET},
        "upsampling_ratios": list(reversed(model.strides)),
        "num_residual_layers": len(model.dilations),
        "dilation_growth_rate": growth,
        "chunk_length_s": model.segment_seconds or None,
        "overlap": model.segment_overlap if model.segment_seconds else None,
        "norm_type": names[net.norm],
        "pad_mode": {v: k for k, v in PADS.items()}[net.pad_mode],
        "use_conv_shortcut": net.shortcut == "conv",
        "trim_right_ratio": net.trim_right_ratio,
        "codebook_size": config.quantizer.codebook_size,
        "codebook_dim": model.dimension,
        "target_bandwidths": list(config.quantizer.kbps) or [config.kbps(config.quantizer.num_quantizers)],
    }
