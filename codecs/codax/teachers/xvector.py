"""Speaker embeddings by WavLM, from folders of transformers' `WavLMForXVector`, such as microsoft/wavlm-base-plus-sv.

The head is that of x-vectors (Snyder et al., 2018): dilated convolutions over the frames of WavLM (TDNN), mean and
standard deviation over time, and a linear layer.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.config.parsing import build
from codax.errors import ConfigError
from codax.storage import strict_json
from codax.teachers import hubert
from codax.teachers.hubert import HubertConfig, Weights
from codax.teachers.teacher import TeacherError


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """The used fields of transformers' config.json, with its names and defaults."""

    tdnn_dim: tuple[int, ...] = (512, 512, 512, 512, 1500)
    tdnn_kernel: tuple[int, ...] = (5, 3, 3, 1, 1)
    tdnn_dilation: tuple[int, ...] = (1, 2, 3, 1, 1)
    xvector_output_dim: int = 512
    use_weighted_layer_sum: bool = False  # of all states; otherwise the last one

    @property
    def context(self) -> int:
        """Number of frames by which the convolutions shorten a signal."""
        return sum((kernel - 1) * step for kernel, step in zip(self.tdnn_kernel, self.tdnn_dilation, strict=True))


def embed(
    config: HubertConfig, head: HeadConfig, w: Weights, audio: jax.Array, lengths: jax.Array | None = None
) -> jax.Array:
    """Embeddings float32 [batch, dimension] of audio.

    Args:
      config: of WavLM.
      head: of the head.
      w: weights of both, see `load`.
      audio: float32 [batch, time] at 16 kHz.
      lengths: int [batch], samples of each signal; later samples have no effect. None = all of `audio`.
    """
    states = hubert.hidden_states(config, w, audio, lengths, alone=True)
    x = states[-1]
    if head.use_weighted_layer_sum:
        shares = jax.nn.softmax(jnp.asarray(w["layer_weights"]))
        x = sum((share * state for share, state in zip(shares, states, strict=True)), jnp.zeros_like(x))
    x = x @ w["projector.weight"].T + w["projector.bias"]
    for i, (kernel, step) in enumerate(zip(head.tdnn_kernel, head.tdnn_dilation, strict=True)):
        # transformers stores the kernel as a linear layer of `kernel` consecutive frames.
        weight = jnp.asarray(w[f"tdnn.{i}.kernel.weight"]).reshape(-1, kernel, x.shape[-1])
        y = jax.lax.conv_general_dilated(
            x, weight, (1,), "VALID", rhs_dilation=(step,), dimension_numbers=("NWC", "OWI", "NWC")
        )
        x = jax.nn.relu(y + w[f"tdnn.{i}.kernel.bias"])
    frames = jnp.full(len(x), x.shape[1]) if lengths is None else config.frames(lengths) - head.context
    valid = (jnp.arange(x.shape[1]) < frames[:, None])[..., None]
    count = frames[:, None]
    mean = jnp.where(valid, x, 0).sum(axis=1) / count
    variance = jnp.where(valid, jnp.square(x - mean[:, None]), 0).sum(axis=1) / (count - 1)
    pooled = jnp.concatenate([mean, jnp.sqrt(variance)], axis=-1)
    return pooled @ w["feature_extractor.weight"].T + w["feature_extractor.bias"]


def load(folder: Path) -> tuple[HubertConfig, HeadConfig, dict[str, np.ndarray], bool]:
    """Configs, weights, and whether audio must be normalised, of a folder of transformers.

    Raises:
      TeacherError: naming the file and the reason.
    """
    config, weights, normalise = hubert.load(folder)
    path = folder / "config.json"
    known = {field.name for field in dataclasses.fields(HeadConfig)}
    values = strict_json.read_object(path, "config", TeacherError)
    try:
        head = build(HeadConfig, {k: v for k, v in values.items() if k in known}, "")
    except ConfigError as error:
        raise TeacherError(f"{path}: {error}") from error
    sizes = (head.tdnn_dim, head.tdnn_kernel, head.tdnn_dilation)
    if len({len(each) for each in sizes}) != 1 or not head.tdnn_dim or min(min(each) for each in sizes) < 1:
        raise TeacherError(f"{path}: tdnn_dim, tdnn_kernel or tdnn_dilation is invalid")
    shapes: dict[str, tuple[int, ...]] = {
        "projector.weight": (head.tdnn_dim[0], config.hidden_size),
        "projector.bias": head.tdnn_dim[:1],
        "feature_extractor.weight": (head.xvector_output_dim, 2 * head.tdnn_dim[-1]),
        "feature_extractor.bias": (head.xvector_output_dim,),
    }
    for i, (inputs, outputs) in enumerate(zip((head.tdnn_dim[0], *head.tdnn_dim), head.tdnn_dim, strict=False)):
        shapes[f"tdnn.{i}.kernel.weight"] = (outputs, inputs * head.tdnn_kernel[i])
        shapes[f"tdnn.{i}.kernel.bias"] = (outputs,)
    if head.use_weighted_layer_sum:
        shapes["layer_weights"] = (config.num_hidden_layers + 1,)
    for name, shape in shapes.items():
        if name not in weights or weights[name].shape != shape:
            problem = "is missing" if name not in weights else f"has shape {weights[name].shape}, not {shape}"
            raise TeacherError(f"{hubert.weights_of(folder)}: {name} {problem}")
    return config, head, weights, normalise


class XVectors:
    """Speaker embeddings of whole signals."""

    sample_rate = 16_000

    def __init__(self, folder: Path) -> None:
        """Raises TeacherError: naming the file and the reason."""
        config, head, weights, normalise = load(folder)
        self._least = config.samples(head.context + 2)  # a standard deviation needs two frames
        self._weights = jax.device_put(weights)

        def run(w: Any, audio: jax.Array, lengths: jax.Array) -> jax.Array:
            return embed(config, head, w, hubert.normalised(audio, lengths) if normalise else audio, lengths)

        self._run = jax.jit(run)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """The embedding float32 [dimension] of mono audio [time] at 16 kHz.

        The audio is padded to whole seconds, which have no effect, to limit the number of compiled programs.

        Raises:
          TeacherError: the audio is too short.
        """
        if len(audio) < self._least:
            raise TeacherError(f"too short for a speaker embedding: {len(audio)} samples, {self._least} are needed")
        padded = np.pad(np.asarray(audio, np.float32), (0, -len(audio) % self.sample_rate))[None]
        return np.asarray(self._run(self._weights, padded, jnp.asarray([len(audio)])))[0]
