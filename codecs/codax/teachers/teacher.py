"""What distillation wants of a teacher, and how one is found by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from codax.config import Config
from codax.errors import CodaxError

_PROBE_SECONDS = 4
_TOLERANCE = 2  # frames: networks without padding give one or two fewer


class TeacherError(CodaxError):
    """A teacher that is missing, damaged, or does not fit the codec."""


class Teacher(Protocol):
    """Features of speech.

    Attributes:
      sample_rate: Hz, that it takes.
      dimension: channels of its features.
    """

    sample_rate: int
    dimension: int

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Audio float32 [batch, time] to features float32 [batch, frames, dimension]."""
        ...


def open_teacher(config: Config) -> Teacher:
    """The teacher of a recipe: `teacher.source` is "wakehubert", an .onnx file, or a folder of transformers' HuBERT.

    Raises:
      TeacherError: it is missing or damaged, or its sample rate, frame rate or dimension is not the codec's.
    """
    from codax.teachers.hubert import HubertTeacher
    from codax.teachers.onnx import OnnxTeacher, wakehubert

    source, rate = config.teacher.source, config.model.sample_rate
    path = wakehubert() if source == "wakehubert" else Path(source)
    teacher: Teacher
    if path.is_dir():
        teacher = HubertTeacher(path, None if config.teacher.layer < 0 else config.teacher.layer)
    elif path.suffix == ".onnx":
        teacher = OnnxTeacher(path, config.teacher.sample_rate)
    else:
        raise TeacherError(f"teacher '{source}': neither wakehubert, an .onnx file nor a folder")
    if teacher.sample_rate != rate:
        raise TeacherError(f"teacher {source} takes {teacher.sample_rate} Hz; model.sample_rate is {rate}")
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
