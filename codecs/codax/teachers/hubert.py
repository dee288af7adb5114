"""HuBERT (arXiv 2106.07447) and WavLM, base and large, from folders of transformers' `HubertModel` and `WavLMModel`.

Convolutions reduce 16 kHz audio to 50 frames per second without padding; a Transformer follows, with norms after each
sub-layer (base) or before it (large). Weights keep transformers' names and PyTorch's order of axes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.config.parsing import build
from codax.errors import CodaxError, ConfigError, shown
from codax.storage import strict_json
from codax.storage.tensors import read_tensors
from codax.teachers import wavlm
from codax.teachers.teacher import Differentiable, TeacherError

Weights = Mapping[str, Any]
_ACTIVATION = "gelu"
_MASKED = -1e9


@dataclasses.dataclass(frozen=True)
class HubertConfig:
    """The used fields of transformers' config.json, with its names; the defaults are the base model's."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"  # "group": of the first convolution only; "layer": of all
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    feat_proj_layer_norm: bool = True
    num_conv_pos_embedding_groups: int = 16
    do_stable_layer_norm: bool = False  # norms before each sub-layer
    num_buckets: int = 0  # number of relative position buckets of the attention bias; 0 = no bias (HuBERT)
    max_bucket_distance: int = 800

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.conv_stride)

    def frames(self, samples: Any) -> Any:
        """Number of frames of a number of samples, or of an array of numbers."""
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def samples(self, frames: int) -> int:
        """Least number of samples that gives a number of frames."""
        for kernel, stride in zip(self.conv_kernel[::-1], self.conv_stride[::-1], strict=True):
            frames = (frames - 1) * stride + kernel
        return frames


def config_of(values: Mapping[str, Any]) -> HubertConfig:
    """Parses the contents of config.json.

    Raises:
      TeacherError: another kind of model, or unsupported options.
    """
    if values.get("model_type") not in ("hubert", "wavlm"):
        raise TeacherError(f"a model of type {shown(values.get('model_type'))}, neither hubert nor wavlm")
    for name, supported in (
        ("hidden_act", _ACTIVATION),
        ("feat_extract_activation", _ACTIVATION),
        ("conv_pos_batch_norm", False),
    ):
        if values.get(name, supported) != supported:
            raise TeacherError(f"{name} = {shown(values[name])} is not supported")
    known = {field.name for field in dataclasses.fields(HubertConfig)}
    if values["model_type"] == "wavlm":
        values = {"num_buckets": 320} | dict(values)
    else:
        known -= {"num_buckets"}
    try:
        config = build(HubertConfig, {k: v for k, v in values.items() if k in known}, "")
    except ConfigError as error:
        raise TeacherError(str(error)) from error
    if config.num_buckets % 4 or not 0 <= config.num_buckets // 4 < config.max_bucket_distance:
        raise TeacherError("num_buckets or max_bucket_distance is invalid")
    if config.feat_extract_norm not in ("group", "layer") or len(config.conv_kernel) != len(config.conv_stride):
        raise TeacherError("feat_extract_norm, conv_kernel or conv_stride is invalid")
    return config


def _linear(w: Weights, name: str, x: jax.Array) -> jax.Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(
    w: Weights, name: str, x: jax.Array, epsilon: float, axis: int = -1, where: jax.Array | None = None
) -> jax.Array:
    """Layer norm over channels, or with `axis` 1 (time) instance norm of every channel, of the frames in `where`."""
    mean = x.mean(axis=axis, keepdims=True, where=where)
    variance = jnp.square(x - mean).mean(axis=axis, keepdims=True, where=where)
    return (x - mean) * jax.lax.rsqrt(variance + epsilon) * w[f"{name}.weight"] + w[f"{name}.bias"]


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)


def _conv(w: Weights, name: str, x: jax.Array, stride: int, padding: int = 0, groups: int = 1) -> jax.Array:
    y = jax.lax.conv_general_dilated(
        x, jnp.transpose(w[f"{name}.weight"], (2, 1, 0)), (stride,), [(padding, padding)],
        dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=groups,
    )  # fmt: skip
    bias = w.get(f"{name}.bias")
    return y if bias is None else y + bias


def hidden_states(
    config: HubertConfig, w: Weights, audio: jax.Array, lengths: jax.Array | None = None, *, alone: bool = False
) -> list[jax.Array]:
    """States before the first layer and after each layer.

    Args:
      config: of the model.
      w: weights, see `load`.
      audio: float32 [batch, time] at 16 kHz.
      lengths: int [batch], samples of each signal; later samples are not attended to. None = all of `audio`.
      alone: whether each signal has the states that it has without the later samples. Otherwise, as in transformers,
        the first norm of base models includes those samples.

    Returns:
      layers + 1 arrays [batch, frames, hidden_size]. The last one of a large model is its output, after the final norm,
      as in transformers 4; transformers 5 returns it without the norm.
    """
    x = audio[..., None]
    for i, stride in enumerate(config.conv_stride):
        prefix = f"feature_extractor.conv_layers.{i}"
        x = _conv(w, f"{prefix}.conv", x, stride)
        if config.feat_extract_norm == "layer":
            x = _norm(w, f"{prefix}.layer_norm", x, 1e-5)
        elif i == 0:
            first = None if lengths is None or not alone else (lengths - config.conv_kernel[0]) // stride + 1
            where = None if first is None else (jnp.arange(x.shape[1]) < first[:, None])[..., None]
            x = _norm(w, f"{prefix}.layer_norm", x, 1e-5, axis=1, where=where)
        x = _gelu(x)
    if config.feat_proj_layer_norm:
        x = _norm(w, "feature_projection.layer_norm", x, config.layer_norm_eps)
    x = _linear(w, "feature_projection.projection", x)
    mask = None
    if lengths is not None:
        mask = jnp.arange(x.shape[1]) < config.frames(lengths)[:, None]
        x = jnp.where(mask[..., None], x, 0.0)

    name = "encoder.pos_conv_embed.conv"
    kernel = w[f"{name}.weight"].shape[-1]
    positions = _conv(w, name, x, 1, kernel // 2, config.num_conv_pos_embedding_groups)
    x = x + _gelu(positions[:, : x.shape[1]])  # an even kernel gives one frame more
    stable, epsilon = config.do_stable_layer_norm, config.layer_norm_eps
    if not stable:
        x = _norm(w, "encoder.layer_norm", x, epsilon)
    states = [x]
    bias = None
    if config.num_buckets:
        bucket = wavlm.buckets(x.shape[1], config.num_buckets, config.max_bucket_distance)
        bias = jnp.moveaxis(jnp.asarray(w[wavlm.EMBEDDING])[bucket], -1, 0)
    for i in range(config.num_hidden_layers):
        prefix = f"encoder.layers.{i}"
        first = functools.partial(_norm, w, f"{prefix}.layer_norm", epsilon=epsilon)
        second = functools.partial(_norm, w, f"{prefix}.final_layer_norm", epsilon=epsilon)
        attend = functools.partial(_attention, config, w, f"{prefix}.attention", mask=mask, bias=bias)
        forward = functools.partial(_feed_forward, w, f"{prefix}.feed_forward")
        if stable:
            x = x + attend(first(x))
            x = x + forward(second(x))
        else:
            x = first(x + attend(x))
            x = second(x + forward(x))
        states.append(x)
    if stable:
        states[-1] = _norm(w, "encoder.layer_norm", states[-1], epsilon)
    return states


def _feed_forward(w: Weights, prefix: str, x: jax.Array) -> jax.Array:
    return _linear(w, f"{prefix}.output_dense", _gelu(_linear(w, f"{prefix}.intermediate_dense", x)))


def _attention(
    config: HubertConfig, w: Weights, prefix: str, x: jax.Array, mask: jax.Array | None, bias: jax.Array | None
) -> jax.Array:
    heads = config.num_attention_heads

    def split(name: str) -> jax.Array:
        y = _linear(w, f"{prefix}.{name}", x)
        return y.reshape(*y.shape[:2], heads, -1)

    queries, keys, values = (split(name) for name in ("q_proj", "k_proj", "v_proj"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys) * queries.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + wavlm.gated_bias(w, prefix, x, bias)
    if mask is not None:
        scores = jnp.where(mask[:, None, None], scores, _MASKED)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), values)
    return _linear(w, f"{prefix}.out_proj", mixed.reshape(x.shape))


def weights_of(folder: Path) -> Path:
    """The weights file in a folder of transformers. Raises TeacherError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise TeacherError(f"{folder}: has neither model.safetensors nor pytorch_model.bin")


def load(folder: Path) -> tuple[HubertConfig, dict[str, np.ndarray], bool]:
    """Config, weights, and whether audio must be normalised to mean 0 and variance 1, of a folder of transformers.

    Args:
      folder: with config.json and model.safetensors or pytorch_model.bin.

    Raises:
      TeacherError: naming the file and the reason.
    """
    path, preprocessor = folder / "config.json", folder / "preprocessor_config.json"
    values, normalise = strict_json.read_object(path, "config", TeacherError), True
    if preprocessor.is_file():
        normalise = bool(strict_json.read_object(preprocessor, "config", TeacherError).get("do_normalize", True))
    try:
        config = config_of(values)
    except (ValueError, TypeError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise TeacherError(f"{path}: not a readable config ({error})") from error
    except TeacherError as error:
        raise TeacherError(f"{path}: {error}") from error
    file = weights_of(folder)
    try:
        weights = {
            name.removeprefix("hubert.").removeprefix("wavlm."): np.asarray(value, np.float32)
            for name, value in read_tensors(file).items()
        }
    except CodaxError as error:
        raise TeacherError(str(error)) from error
    return config, _folded(weights, config, file), normalise
    return config, _folded(weights, config, file), normalise


def _folded(weights: dict[str, np.ndarray], config: HubertConfig, file: Path) -> dict[str, np.ndarray]:
    """Folds the weight normalisation of the position convolution, and checks that all weights are present."""
    name = "encoder.pos_conv_embed.conv"
    newer = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    for scale, direction in (("weight_g", "weight_v"), newer):
        if f"{name}.{scale}" in weights and f"{name}.{direction}" in weights:
            v = weights.pop(f"{name}.{direction}")
            # One scale for each tap of the kernel.
            weights[f"{name}.weight"] = (
                weights.pop(f"{name}.{scale}") * v / np.sqrt((v**2).sum(axis=(0, 1), keepdims=True))
            )
    required = [f"{name}.weight", "feature_projection.projection.weight", "encoder.layer_norm.weight"]
    gates = ("gru_rel_pos_linear.weight", "gru_rel_pos_linear.bias", "gru_rel_pos_const") if config.num_buckets else ()
    required += [wavlm.EMBEDDING] if gates else []
    required += [f"feature_extractor.conv_layers.{i}.conv.weight" for i in range(len(config.conv_stride))]
    for i in range(config.num_hidden_layers):
        parts = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.out_proj", "layer_norm",
                 "final_layer_norm", "feed_forward.intermediate_dense", "feed_forward.output_dense")  # fmt: skip
        required += [f"encoder.layers.{i}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
        required += [f"encoder.layers.{i}.attention.{gate}" for gate in gates]
    for entry in required:
        if entry not in weights:
            raise TeacherError(f"{file}: {entry} is missing")
    width = weights["feature_projection.projection.weight"].shape[0]
    if width != config.hidden_size:
        raise TeacherError(f"{file}: has {width} channels, config.json says {config.hidden_size}")
    return weights


def normalised(audio: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Audio [batch, time] with mean 0 and variance 1 over the first `lengths` samples, and 0 after them; None = all."""
    mask = None if lengths is None else jnp.arange(audio.shape[1]) < lengths[:, None]
    mean = audio.mean(axis=-1, keepdims=True, where=mask)
    variance = jnp.square(audio - mean).mean(axis=-1, keepdims=True, where=mask)
    audio = (audio - mean) / jnp.sqrt(variance + 1e-7)
    return audio if mask is None else jnp.where(mask, audio, 0.0)


def _opened(folder: Path, layers: Sequence[int | None]) -> tuple[HubertConfig, Weights, Callable[..., list[jax.Array]]]:
    """Config, weights, and the function (weights, audio, lengths) -> states; layer None = the mean of all states.

    Raises:
      TeacherError: naming the file and the reason.
    """
    config, weights, normalise = load(folder)
    for layer in layers:
        if layer is not None and not 0 <= layer <= config.num_hidden_layers:
            raise TeacherError(f"{folder}: layer {layer} is not in 0 to {config.num_hidden_layers}")

    def features(w: Weights, audio: jax.Array, lengths: jax.Array | None = None) -> list[jax.Array]:
        states = hidden_states(config, w, normalised(audio, lengths) if normalise else audio, lengths)
        return [sum(states[1:], states[0]) / len(states) if layer is None else states[layer] for layer in layers]

    return config, weights, features


def differentiable(folder: Path, layers: Sequence[int | None]) -> Differentiable:
    """HuBERT or WavLM as a differentiable teacher; layers as in `HubertTeacher`. Raises TeacherError."""
    _, weights, features = _opened(folder, layers)
    return Differentiable(HubertTeacher.sample_rate, weights, features)


class HubertTeacher:
    """HuBERT or WavLM as a `Teacher`: the mean of all states, or one of them."""

    sample_rate = 16_000
    delay_seconds = 0.0

    def __init__(self, folder: Path, layer: int | None) -> None:
        """Args: `layer` is 0 (before the first) to the number of layers; None = the mean. Raises TeacherError."""
        config, weights, features = _opened(folder, [layer])
        self.dimension, self._weights = config.hidden_size, jax.device_put(weights)
        self._features, self._frames = jax.jit(lambda *arguments: features(*arguments)[0]), config.frames

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return np.asarray(self._features(self._weights, np.asarray(audio, np.float32), None))

    def whole(self, audio: np.ndarray) -> np.ndarray:
        """Pads to whole seconds, which are not attended to, to limit the number of compiled programs."""
        frames = max(0, int(self._frames(len(audio))))
        padded = np.pad(np.asarray(audio, np.float32), (0, -len(audio) % self.sample_rate))[None]
        return np.asarray(self._features(self._weights, padded, jnp.asarray([len(audio)])))[0, :frames]
