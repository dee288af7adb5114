"""The teacher section: whose features the first quantizer learns to carry."""

import dataclasses
from typing import Any, ClassVar

from codax.config.checks import Check
from codax.config.section import Section, option


def _of_onnx(default: Any) -> Any:
    return option(default, lambda teacher: teacher.source.endswith(".onnx"), "a teacher.source that is an .onnx file")


@dataclasses.dataclass
class TeacherConfig(Section):
    """Network whose features the first quantizer learns to carry, if `loss.distillation` is set."""

    path: ClassVar[str] = "teacher"

    source: str = "wakehubert"  # "wakehubert", an .onnx file, a folder of HuBERT or WavLM, or "precomputed"
    layer: int = -1  # of HuBERT or WavLM: 0 is before the first; -1 = the mean of all
    sample_rate: int = _of_onnx(16_000)  # Hz, that it takes
    delay_seconds: float = _of_onnx(0.0)  # by which its features come late
    pool: int = 1  # its features in a frame of the codec; more than 1 are averaged, see teachers/fitting.py

    @property
    def precomputed(self) -> bool:
        """Whether features are read from files beside the audio (`codax data build --teacher`)."""
        return self.source == "precomputed"

    def checks(self) -> list[Check]:
        return [
            Check(self.pool == 1 or (self.pool > 0 and self.pool % 2 == 0), "pool", "1 or even"),
        ]
