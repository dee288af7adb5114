"""Mimi's weights in two layouts: Kyutai's own and Hugging Face transformers' `MimiModel`.

Both name SEANet's layers as EnCodec does (`codax.interop.encodec`). Kyutai has queries, keys and values in one matrix
and rotates pairs of adjacent channels; transformers has three matrices and, as codax, pairs of channels that are half a
head apart. Both store a codebook as the sum of its vectors and their count; codax also stores the quotient.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from codax.config import Config, MimiConfig
from codax.interop import encodec
from codax.interop.encodec import Entries, LayoutError
from codax.nets.weightnorm import fold

State = dict[str, np.ndarray]
_EPSILON = 1e-5  # lower limit of the counts
_QKV = ("q_proj", "k_proj", "v_proj")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Name templates of a project; `{side}` is encoder or decoder, `{stack}` one of `stacks`."""

    seanet: encodec.Layout
    transformer: str
    parts: Mapping[str, str]  # of a layer, by codax name
    downsample: str
    upsample: str
    stacks: tuple[str, str]
    codebook: str
    initialised: str
    total: str
    count: str


HUGGINGFACE = Layout(
    seanet=encodec.HUGGINGFACE,
    transformer="{side}_transformer.layers.{layer}",
    parts={
        "attention.out_kernel": "self_attn.o_proj.weight",
        "norm1.scale": "input_layernorm.weight",
        "norm1.bias": "input_layernorm.bias",
        "norm2.scale": "post_attention_layernorm.weight",
        "norm2.bias": "post_attention_layernorm.bias",
        "attention_scale": "self_attn_layer_scale.scale",
        "dense_scale": "mlp_layer_scale.scale",
        "dense1.kernel": "mlp.fc1.weight",
        "dense2.kernel": "mlp.fc2.weight",
    },
    downsample="downsample.conv.weight",
    upsample="upsample.conv.weight",
    stacks=("quantizer.semantic_residual_vector_quantizer", "quantizer.acoustic_residual_vector_quantizer"),
    codebook="{stack}.layers.{level}.codebook",
    initialised="initialized",
    total="embed_sum",
    count="cluster_usage",
)
KYUTAI = Layout(
    seanet=encodec.NATIVE,
    transformer="{side}_transformer.transformer.layers.{layer}",
    parts={
        "attention.kernel": "self_attn.in_proj_weight",
        "attention.out_kernel": "self_attn.out_proj.weight",
        "norm1.scale": "norm1.weight",
        "norm1.bias": "norm1.bias",
        "norm2.scale": "norm2.weight",
        "norm2.bias": "norm2.bias",
        "attention_scale": "layer_scale_1.scale",
        "dense_scale": "layer_scale_2.scale",
        "dense1.kernel": "linear1.weight",
        "dense2.kernel": "linear2.weight",
    },
    downsample="downsample.conv.conv.conv.weight",
    upsample="upsample.convtr.convtr.convtr.weight",
    stacks=("quantizer.rvq_first", "quantizer.rvq_rest"),
    codebook="{stack}.vq.layers.{level}._codebook",
    initialised="_initialized",
    total="embedding_sum",
    count="cluster_usage",
)
# Names in other versions of Kyutai's files, as regular expressions, and their equivalents in `KYUTAI`.
_OTHER_NAMES = (
    (r"self_attn\.in_projs\.0\.weight$", "self_attn.in_proj_weight"),
    (r"self_attn\.in_proj\.weight$", "self_attn.in_proj_weight"),
    (r"self_attn\.out_projs\.0\.weight$", "self_attn.out_proj.weight"),
    (r"_codebook\.inited$", "_codebook._initialized"),
    (r"_codebook\.cluster_size$", "_codebook.cluster_usage"),
    (r"_codebook\.embed_(avg|sum)$", "_codebook.embedding_sum"),
)


def arrays(config: Config, layout: Layout) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yields (codax name, name in the layout, permutation of PyTorch's axes) of parameters that correspond directly."""
    model = config.model_of(MimiConfig)
    for ours, theirs, order in encodec.arrays(dataclasses.replace(config, model=_plain(model)), layout.seanet):
        _, side, rest = ours.split(".", 2)
        yield f"params.{side}.seanet.{rest}", theirs, order
    for side, layer in _transformer_layers(config):
        prefix = layout.transformer.format(side=side, layer=layer)
        for ours, theirs in layout.parts.items():
            order = (1, 0) if ours.endswith("kernel") else (0,)
            yield f"params.{side}.transformer.layer{layer}.{ours}", f"{prefix}.{theirs}", order
    if model.resample_stride > 1:
        yield "params.encoder.downsample.kernel", layout.downsample, (2, 1, 0)


def _plain(model: MimiConfig) -> MimiConfig:
    """The config without the parts that EnCodec's layouts do not have or name differently."""
    return dataclasses.replace(model, semantic_dimension=0, seanet=dataclasses.replace(model.seanet, norm="none"))


def _books(config: Config, layout: Layout) -> Iterator[str]:
    """Prefixes of the codebooks, level by level."""
    semantic = config.quantizer.semantic
    for level in range(config.quantizer.num_quantizers):
        stack = layout.stacks[level >= semantic]
        yield layout.codebook.format(stack=stack, level=level if level < semantic else level - semantic)


def _projections(layout: Layout) -> Iterator[tuple[str, str]]:
    for ours, stack in zip(("semantic", "acoustic"), layout.stacks, strict=True):
        for way, theirs in (("inward", "input_proj"), ("outward", "output_proj")):
            yield f"params.quantizer.{way}_{ours}.kernel", f"{stack}.{theirs}.weight"


def _transformer_layers(config: Config) -> Iterator[tuple[str, int]]:
    for side in ("encoder", "decoder"):
        for layer in range(config.model_of(MimiConfig).transformer.layers):
            yield side, layer


def halves(kernel: np.ndarray, heads: int) -> np.ndarray:
    """Reorders output channels [in, heads * width] from adjacent pairs to pairs half a head apart."""
    return kernel.reshape(kernel.shape[0], heads, -1, 2).swapaxes(2, 3).reshape(kernel.shape)


def neighbours(kernel: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `halves`."""
    return kernel.reshape(kernel.shape[0], heads, 2, -1).swapaxes(2, 3).reshape(kernel.shape)


def _reordered(kernel: np.ndarray, heads: int, reorder: Any) -> np.ndarray:
    """Reorders the channels of queries and keys in a joint kernel [in, 3 * dim]."""
    queries, keys, values = np.split(kernel, 3, axis=1)
    return np.concatenate([reorder(queries, heads), reorder(keys, heads), values], axis=1)


def to_codax(state: Mapping[str, np.ndarray], config: Config, layout: Layout) -> dict[str, Any]:
    """Converts weights from a layout to codax's flat variables.

    Raises:
      LayoutError: an entry is missing or unknown.
    """
    entries = Entries({_usual_name(name): value for name, value in state.items()})
    take = entries.take
    flat: dict[str, Any] = {}
    for ours, theirs, order in arrays(config, layout):
        flat[ours] = take(theirs, order)
    for side, layer in _transformer_layers(config):
        name = f"params.{side}.transformer.layer{layer}.attention.kernel"
        if name in flat:
            flat[name] = _reordered(flat[name], config.model_of(MimiConfig).transformer.heads, halves)
        else:
            prefix = layout.transformer.format(side=side, layer=layer)
            parts = entries.stack((f"{prefix}.self_attn.{part}.weight" for part in _QKV), (1, 0), axis=1)
            flat[name] = parts.reshape(len(parts), -1)
    if config.model_of(MimiConfig).resample_stride > 1:
        flat["params.decoder.upsample.kernel"] = _each_channel(take(layout.upsample), layout.upsample)
    for ours, theirs in _projections(layout):
        flat[ours] = _pointwise(take(theirs, (2, 1, 0)), theirs)
    books = list(_books(config, layout))
    total = entries.stack((f"{prefix}.{layout.total}" for prefix in books), (0, 1))
    count = entries.stack((f"{prefix}.{layout.count}" for prefix in books), (0,))
    if count.shape != total.shape[:2]:
        raise LayoutError("the counts do not have the sizes of the codebooks")
    initialised = [bool(take(f"{prefix}.{layout.initialised}").all()) for prefix in books]
    entries.check_empty()
    flat = {name: np.ascontiguousarray(value) for name, value in flat.items()}
    return flat | {
        "codebook.quantizer.embedding": total / np.maximum(count, np.float32(_EPSILON))[..., None],
        "codebook.quantizer.total": total,
        "codebook.quantizer.count": count,
        "codebook.quantizer.initialised": np.asarray(all(initialised)),
    }


def _pointwise(kernel: np.ndarray, name: str) -> np.ndarray:
    if kernel.shape[0] != 1:
        raise LayoutError(f"{name} has a width of {kernel.shape[0]}, expected 1")
    return kernel[0]


def _usual_name(name: str) -> str:
    for pattern, usual in _OTHER_NAMES:
        name = re.sub(pattern, usual, name)
    return name


def _each_channel(kernel: np.ndarray, name: str) -> np.ndarray:
    """Converts a depthwise transposed convolution's kernel [channels, 1, width] to [width, channels]."""
    if kernel.ndim != 3 or kernel.shape[1] != 1:
        raise LayoutError(f"{name} has the shape {list(kernel.shape)}: upsampling must be depthwise")
    return kernel[:, 0].T


def from_codax(flat: Mapping[str, np.ndarray], config: Config, layout: Layout) -> State:
    """The inverse of `to_codax`. Weight normalisation is folded; the distillation head is omitted.

    Raises:
      LayoutError: the layout does not support the codebooks.
    """
    encodec.check_codebooks(config)
    variables = unflatten_dict(dict(flat), sep=".")
    folded = flatten_dict({**variables, "params": fold(variables["params"])}, sep=".")
    flat, model = {name: np.asarray(value) for name, value in folded.items()}, config.model_of(MimiConfig)
    state: State = {}
    for ours, theirs, order in arrays(config, layout):
        value = (
            _reordered(flat[ours], model.transformer.heads, neighbours)
            if ours.endswith("attention.kernel")
            else flat[ours]
        )
        state[theirs] = value.transpose(np.argsort(order))
    for side, layer in _transformer_layers(config):
        if "attention.kernel" not in layout.parts:
            parts = np.split(flat[f"params.{side}.transformer.layer{layer}.attention.kernel"], 3, axis=1)
            prefix = layout.transformer.format(side=side, layer=layer)
            state |= {f"{prefix}.self_attn.{name}.weight": part.T for name, part in zip(_QKV, parts, strict=True)}
    if model.resample_stride > 1:
        state[layout.upsample] = flat["params.decoder.upsample.kernel"].T[:, None]
    for ours, theirs in _projections(layout):
        state[theirs] = flat[ours].T[:, :, None]
    embedding, total, count = (flat[f"codebook.quantizer.{name}"] for name in ("embedding", "total", "count"))
    limited = np.maximum(count, np.float32(_EPSILON))[..., None]
    total = np.where(total / limited == embedding, total, embedding * limited)  # their quotient must be the embedding
    for level, prefix in enumerate(_books(config, layout)):
        state[f"{prefix}.{layout.total}"], state[f"{prefix}.{layout.count}"] = total[level], count[level]
        state[f"{prefix}.{layout.initialised}"] = np.asarray([flat["codebook.quantizer.initialised"]], np.float32)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}


def is_state(state: Mapping[str, Any]) -> bool:
    """Whether these are Mimi's weights in Kyutai's layout."""
    return any(name.startswith("quantizer.rvq_first.") for name in state)
