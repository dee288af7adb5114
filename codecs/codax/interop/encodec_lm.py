"""Import and export of EnCodec's language model in the layout of the `encodec` package (`encodec_lm_*.th`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codax.config import Config, presets
from codax.errors import CodaxError
from codax.interop.encodec import Entries, LayoutError, State, is_array
from codax.lm.config import LMConfig
from codax.lm.predictor import LM, from_weights
from codax.storage.tensors import ModelError, read_tensors

# Names of a layer's modules in codax and in PyTorch. PyTorch's dense kernels are [out, in].
_LAYER = (
    ("attention.kernel", "self_attn.in_proj_weight"),
    ("attention.bias", "self_attn.in_proj_bias"),
    ("attention.out_kernel", "self_attn.out_proj.weight"),
    ("attention.out_bias", "self_attn.out_proj.bias"),
    ("dense1.kernel", "linear1.weight"),
    ("dense1.bias", "linear1.bias"),
    ("dense2.kernel", "linear2.weight"),
    ("dense2.bias", "linear2.bias"),
    ("norm1.scale", "norm1.weight"),
    ("norm1.bias", "norm1.bias"),
    ("norm2.scale", "norm2.weight"),
    ("norm2.bias", "norm2.bias"),
)
# codax stacks all codebooks in one array, PyTorch has one per codebook: codax name, PyTorch name, codebook axis.
_STACKED = (
    ("params.embedding", "emb.{}.weight", 0),
    ("params.kernel", "linears.{}.weight", 1),
    ("params.bias", "linears.{}.bias", 0),
)
PAST_CONTEXT = {32: 262, 16: 525}  # frames, by number of codebooks of the released models; not stored in the weights


def arrays(layers: int) -> Iterator[tuple[str, str]]:
    """Yields (codax name, PyTorch name) of every parameter of the Transformer; the axes are reversed."""
    for ours, theirs in (("scale", "weight"), ("bias", "bias")):
        yield f"params.transformer.norm_in.{ours}", f"transformer.norm_in.{theirs}"
    for i in range(layers):
        for ours, theirs in _LAYER:
            yield f"params.transformer.layer{i}.{ours}", f"transformer.layers.{i}.{theirs}"


def to_codax(state: Mapping[str, np.ndarray], config: LMConfig) -> State:
    """Converts weights of the package to codax's flat variables ("params.transformer.norm_in.scale": array, ...).

    Raises:
      LayoutError: an entry is missing or unknown, or the codebooks' shapes differ.
    """
    entries = Entries(state)
    flat = {}
    for ours, theirs in arrays(config.layers):
        flat[ours] = np.ascontiguousarray(entries.take(theirs, (1, 0) if ours.endswith("kernel") else (0,)))
    for ours, theirs, axis in _STACKED:
        # Only the kernels of the heads are transposed: from [size, dim] to [dim, codebooks, size].
        order = (1, 0) if axis else (0,) if ours.endswith("bias") else (0, 1)
        flat[ours] = entries.stack((theirs.format(k) for k in range(config.codebooks)), order, axis)
    entries.check_empty()
    return flat


def from_codax(flat: Mapping[str, np.ndarray], config: LMConfig) -> State:
    """The inverse of `to_codax`."""
    state = {theirs: np.ascontiguousarray(flat[ours].T) for ours, theirs in arrays(config.layers)}
    for ours, theirs, axis in _STACKED:
        for k in range(config.codebooks):
            part = flat[ours].take(k, axis)
            state[theirs.format(k)] = np.ascontiguousarray(part.T if axis else part)
    return state


def config_of_state(state: Mapping[str, np.ndarray], past_context: int | None = None, heads: int = 8) -> LMConfig:
    """Derives the config of weights in the package's layout.

    Args:
      state: the weights.
      past_context: frames; None = that of the released model with as many codebooks. Not stored in the weights.
      heads: of the attention. Not stored in the weights.

    Raises:
      LayoutError: these are not the weights of such a model, or `past_context` is needed.
      ConfigError: invalid sizes.
    """
    codebooks = sum(name.startswith("emb.") and name.endswith(".weight") for name in state)
    layers = sum(name.endswith(".self_attn.in_proj_weight") for name in state)
    entries, hidden = state.get("emb.0.weight"), state.get("transformer.layers.0.linear1.weight")
    if not (is_array(entries) and is_array(hidden) and entries.ndim == hidden.ndim == 2):
        raise LayoutError("not the weights of EnCodec's language model")
    past_context = PAST_CONTEXT.get(codebooks) if past_context is None else past_context
    if past_context is None:
        raise LayoutError(f"no released model has {codebooks} codebooks: say how many frames of the past it sees")
    (size, dim), wide = entries.shape, len(hidden)
    return LMConfig(codebooks, size - 1, dim, layers, heads, wide, past_context).validate()


def is_lm(state: Mapping[str, Any]) -> bool:
    """Whether these are the weights of a language model in the package's layout."""
    return "emb.0.weight" in state


def codec_of(config: LMConfig) -> Config:
    """The config of the released codec with as many codebooks."""
    return presets.encodec_48khz() if config.codebooks == 16 else presets.encodec_24khz()


def import_lm(
    source: str | Path, past_context: int | None = None, heads: int = 8, state: Mapping[str, Any] | None = None
) -> LM:
    """Reads a checkpoint of the `encodec` package's language model (with PyTorch), or its arrays as safetensors.

    Args: see `config_of_state`; `state` is the result of `read_tensors` for this file, if it was read before.

    Raises:
      ModelError: naming the file and the reason.
    """
    source = Path(source)
    if not source.is_file():
        raise ModelError(f"{source}: no such file")
    state = read_tensors(source) if state is None else state
    try:
        config = config_of_state(state, past_context, heads)
        flat = to_codax(state, config)
    except CodaxError as error:
        raise ModelError(f"{source}: {error}") from error
    return from_weights(flat, config, source)
