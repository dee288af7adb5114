"""Opens teachers by name, and according to a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from codax.config import Config, TeacherConfig
from codax.teachers import hubert, onnx
from codax.teachers.fitting import Pooled, Resampled
from codax.teachers.teacher import Teacher, TeacherError

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
    """

    accepts: Callable[[str], bool]
    open: Callable[[TeacherConfig], Teacher]
    weights: Callable[[TeacherConfig], Path]


KINDS: dict[str, Kind] = {
    "wakehubert": Kind(
        lambda source: source == "wakehubert",
        lambda _: onnx.OnnxTeacher(onnx.wakehubert(), 16_000, onnx.WAKEHUBERT_DELAY),
        lambda _: onnx.wakehubert(),
    ),
    "a folder of HuBERT or WavLM": Kind(
        lambda source: Path(source).is_dir(),
        lambda c: hubert.HubertTeacher(Path(c.source), None if c.layer < 0 else c.layer),
        lambda c: hubert.weights_of(Path(c.source)),
    ),
    "an .onnx file": Kind(
        lambda source: source.endswith(".onnx"),
        lambda c: onnx.OnnxTeacher(Path(c.source), c.sample_rate, c.delay_seconds),
        lambda c: Path(c.source),
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
