"""What distillation wants of a teacher, and how one is found by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from codax.config import Config, TeacherConfig
from codax.errors import CodaxError

_PROBE_SECONDS = 4
_PROBES = (2, 6)  # seconds
_TOLERANCE = 2  # frames: networks without padding give one or two fewer


class TeacherError(CodaxError):
    """A teacher that is missing, damaged, or does not fit the codec."""


class Teacher(Protocol):
    """Features of speech.

    Attributes:
      sample_rate: Hz, that it takes.
      dimension: channels of its features.
      delay_seconds: by which its network's features come late; undone in what it gives.
    """

    sample_rate: int
    dimension: int
    delay_seconds: float

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Audio float32 [batch, time] to features float32 [batch, frames, dimension]."""
        ...

    def whole(self, audio: np.ndarray) -> np.ndarray:
        """As `__call__`, for one recording of any length, [time] to [frames, dimension]; no frames if too short."""
        ...


def find_teacher(config: TeacherConfig) -> Teacher:
    """The teacher of that name: "wakehubert", an .onnx file, or a folder of transformers' HuBERT or WavLM; pooled.

    Raises:
      TeacherError: it is missing or damaged.
    """
    from codax.teachers.fitting import Pooled
    from codax.teachers.hubert import HubertTeacher
    from codax.teachers.onnx import WAKEHUBERT_DELAY, OnnxTeacher, wakehubert

    path = Path(config.source)
    teacher: Teacher
    if config.source == "wakehubert":
        teacher = OnnxTeacher(wakehubert(), 16_000, WAKEHUBERT_DELAY)
    elif path.is_dir():
        teacher = HubertTeacher(path, None if config.layer < 0 else config.layer)
    elif path.suffix == ".onnx":
        teacher = OnnxTeacher(path, config.sample_rate, config.delay_seconds)
    else:
        raise TeacherError(f"teacher '{config.source}': neither wakehubert, an .onnx file nor a folder")
    return teacher if config.pool == 1 else Pooled(teacher, config.pool)


def weights_file(config: TeacherConfig) -> Path:
    """The file with the weights of the teacher of that name. Raises TeacherError."""
    from codax.teachers.hubert import weights_of
    from codax.teachers.onnx import wakehubert

    path = wakehubert() if config.source == "wakehubert" else Path(config.source)
    return weights_of(path) if path.is_dir() else path


def frame_rate(teacher: Teacher) -> float:
    """Its frames per second: those of two lengths are compared, as networks without padding give a few less."""
    shorter, longer = (
        teacher(np.zeros((1, seconds * teacher.sample_rate), np.float32)).shape[1] for seconds in _PROBES
    )
    return (longer - shorter) / (_PROBES[1] - _PROBES[0])


def open_teacher(config: Config) -> Teacher:
    """The teacher of a recipe; it takes audio at the codec's rate.

    Raises:
      TeacherError: it is missing or damaged, or its frame rate or dimension is not the codec's.
    """
    from codax.teachers.fitting import Resampled

    source, rate = config.teacher.source, config.model.sample_rate
    teacher = find_teacher(config.teacher)
    if teacher.sample_rate != rate:
        teacher = Resampled(teacher, rate)
    if teacher.dimension != config.model.semantic_dimension:
        raise TeacherError(
            f"teacher {source} has {teacher.dimension} channels; model.semantic_dimension is "
            f"{config.model.semantic_dimension}"
        )
    found = teacher(np.zeros((1, _PROBE_SECONDS * rate), np.float32)).shape[1]
    if not 0 <= _PROBE_SECONDS * config.frame_rate - found <= _TOLERANCE:
        raise TeacherError(
            f"teacher {source} gives {found} frames for {_PROBE_SECONDS} s; the codec {config.frame_rate:g} a second"
        )
    return teacher
