"""Opens teachers by name, and according to a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.config import Config, TeacherConfig
from codax.teachers import hubert, onnx
from codax.teachers.fitting import Pooled, Resampled, at_rate
from codax.teachers.teacher import Differentiable, Teacher, TeacherError

_PROBE_SECONDS = 4
_PROBES = (2, 6)  # seconds
_TOLERANCE = 2  # frames: networks without padding give one or two fewer


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of teacher.

    Attributes:
      accepts: whether `TeacherConfig.source` names a teacher of this kind.
      open: creates the teacher. Raises TeacherError.
      weights: returns the weights file, whose digest identifies stored features. Raises TeacherError.
      differentiable: creates the teacher for `loss.self_supervised` from the config and the numbers of layers, () = the
        features of distillation. Raises TeacherError. None = the kind has no gradient.
    """

    accepts: Callable[[str], bool]
    open: Callable[[TeacherConfig], Teacher]
    weights: Callable[[TeacherConfig], Path]
    differentiable: Callable[[TeacherConfig, tuple[int, ...]], Differentiable] | None = None


def _layer(config: TeacherConfig) -> int | None:
    return None if config.layer < 0 else config.layer


KINDS: dict[str, Kind] = {
    "wakehubert": Kind(
        lambda source: source == "wakehubert",
        lambda _: onnx.OnnxTeacher(onnx.wakehubert(), 16_000, onnx.WAKEHUBERT_DELAY),
        lambda _: onnx.wakehubert(),
        lambda _, layers: onnx.differentiable(onnx.wakehubert(), 16_000, layers, onnx.WAKEHUBERT_LAYERS),
    ),
    "a folder of HuBERT or WavLM": Kind(
        lambda source: Path(source).is_dir(),
        lambda c: hubert.HubertTeacher(Path(c.source), _layer(c)),
        lambda c: hubert.weights_of(Path(c.source)),
        lambda c, layers: hubert.differentiable(Path(c.source), layers or (_layer(c),)),
    ),
    "an .onnx file": Kind(
        lambda source: source.endswith(".onnx"),
        lambda c: onnx.OnnxTeacher(Path(c.source), c.sample_rate, c.delay_seconds),
        lambda c: Path(c.source),
        lambda c, layers: onnx.differentiable(Path(c.source), c.sample_rate, layers),
    ),
}


def register(name: str, kind: Kind) -> None:
    """Adds a kind of teacher, which takes precedence over existing ones.

    Args:
      name: description of the accepted sources, for messages.
      kind: the kind.

    Raises:
      TeacherError: a kind with this name exists.
    """
    if name in KINDS:
        raise TeacherError(f"teacher {name}: the name is taken")
    others = dict(KINDS)
    KINDS.clear()
    KINDS.update({name: kind, **others})


def _kind(source: str) -> Kind:
    for kind in KINDS.values():
        if kind.accepts(source):
            return kind
    raise TeacherError(f"teacher '{source}': must be {' or '.join(KINDS)}")


def find_teacher(config: TeacherConfig) -> Teacher:
    """Opens the teacher of `TeacherConfig.source`; with `pool`, its features are averaged.

    Raises:
      TeacherError: missing or damaged.
    """
    teacher = _kind(config.source).open(config)
    return teacher if config.pool == 1 else Pooled(teacher, config.pool)


def weights_file(config: TeacherConfig) -> Path:
    """The weights file of a teacher. Raises TeacherError."""
    return _kind(config.source).weights(config)


def frame_rate(teacher: Teacher) -> float:
    """Frames per second of a teacher, from two lengths, because networks without padding omit a few frames."""
    shorter, longer = (
        teacher(np.zeros((1, seconds * teacher.sample_rate), np.float32)).shape[1] for seconds in _PROBES
    )
    return (longer - shorter) / (_PROBES[1] - _PROBES[0])


def open_teacher(config: Config) -> Teacher:
    """Opens the teacher of a recipe, for audio at the codec's rate.

    Raises:
      TeacherError: missing or damaged, or its frame rate or dimension differs from the codec's.
    """
    source, rate = config.teacher.source, config.model.sample_rate
    teacher = find_teacher(config.teacher)
    if teacher.sample_rate != rate:
        teacher = Resampled(teacher, rate)
    if teacher.dimension != config.model.semantic_dimension:
        raise TeacherError(
            f"teacher {source} has {teacher.dimension} channels; model.semantic_dimension is "
            f"{config.model.semantic_dimension}"
        )
    frames = teacher(np.zeros((1, _PROBE_SECONDS * rate), np.float32)).shape[1]
    if not 0 <= _PROBE_SECONDS * config.frame_rate - frames <= _TOLERANCE:
        raise TeacherError(
            f"teacher {source} gives {frames} frames for {_PROBE_SECONDS} s; the codec {config.frame_rate:g} per second"
        )
    return teacher


def open_differentiable(config: Config) -> Any:
    """Opens the teacher of `loss.self_supervised`, for audio at the codec's rate; None if the loss has no weight.

    Returns:
      A `jax.tree_util.Partial`, audio [batch, time, channels] -> features of each layer [batch, frames, channels]. It
      is a tree of the weights, so that a program takes it as an argument and does not contain them.

    Raises:
      TeacherError: missing, damaged or without a gradient, or a training example is too short for it.
    """
    loss = config.loss
    if loss.self_supervised <= 0:
        return None
    source = loss.self_supervised_teacher or config.teacher.source
    kind = _kind(source)
    if kind.differentiable is None:
        raise TeacherError(f"teacher {source}: has no gradient, which loss.self_supervised needs")
    section = dataclasses.replace(config.teacher, source=source)
    teacher = at_rate(kind.differentiable(section, loss.self_supervised_layers), config.model.sample_rate)

    def features(weights: Any, audio: jax.Array) -> Any:
        return teacher.features(weights, jnp.asarray(audio, jnp.float32).mean(axis=-1))

    audio = jax.ShapeDtypeStruct((1, config.segment_samples, config.model.audio_channels), jnp.float32)
    try:
        layers = jax.eval_shape(features, teacher.weights, audio)
        if any(layer.ndim != 3 or layer.size == 0 for layer in layers):
            raise ValueError(f"features of {[layer.shape for layer in layers]}")
    except (TypeError, ValueError, TeacherError) as error:
        reason = str(error).splitlines()[0]
        raise TeacherError(
            f"teacher {source}: fails on training examples of {config.segment_samples} samples ({reason})"
        ) from error
    return jax.tree_util.Partial(features, teacher.weights)
