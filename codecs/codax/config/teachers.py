"""The teacher section: the network whose features are distilled into the first quantizer."""

import dataclasses
from typing import Any, ClassVar

from codax.config.checks import RATES, Check, at_least
from codax.config.section import Section, option


def _of_onnx(default: Any) -> Any:
    return option(default, lambda teacher: teacher.source.endswith(".onnx"), "a teacher.source that is an .onnx file")


@dataclasses.dataclass
class TeacherConfig(Section):
    """Network whose features are distilled into the first quantizer, if `loss.distillation` is set."""

    path: ClassVar[str] = "teacher"

    source: str = "wakehubert"  # "wakehubert", an .onnx file, a folder with HuBERT or WavLM, or "precomputed"
    layer: int = -1  # of HuBERT or WavLM; 0 = the input of the first layer, -1 = the mean of all layers
    sample_rate: int = _of_onnx(16_000)  # of its input, Hz
    delay_seconds: float = _of_onnx(0.0)  # delay of its features
    pool: int = 1  # features per frame of the codec, which are averaged; see teachers/fitting.py

    @property
    def precomputed(self) -> bool:
        """Whether stored features are read with the audio (`codax data build --teacher`)."""
        return self.source == "precomputed"

    def checks(self) -> list[Check]:
        return [
            *at_least(self, -1, "layer"),
            *at_least(self, 0, "delay_seconds"),
            Check(RATES[0] <= self.sample_rate <= RATES[1], "sample_rate", f"{RATES[0]} to {RATES[1]} Hz"),
            Check(self.pool == 1 or (self.pool > 0 and self.pool % 2 == 0), "pool", "1 or even"),
        ]
