"""Runs an exported folder in onnxruntime, without JAX and without the model folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codax.audio.arrays import as_chunk, as_codes
from codax.config.checks import MOST_CHANNELS
from codax.errors import CodaxError, install
from codax.storage import strict_json

ABOUT = "codec.json"


_LARGEST = 1 << 24  # values of an input
_BOUNDS = {
    "channels": (1, MOST_CHANNELS),
    "hop": (1, 1 << 20),
    "codebook_size": (2, 1 << 16),
    "quantizers": (1, 255),
    "least_frames": (1, 1 << 12),
}


def _check(facts: Any) -> None:
    """Checks what `Runtime` uses of codec.json. Raises ValueError, KeyError, TypeError or AttributeError."""
    for name, bounds in _BOUNDS.items():
        try:
            strict_json.whole(facts[name], *bounds)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
    for program in (facts["programs"]["encoder"], facts["programs"]["decoder"], *facts["programs"].values()):
        states = [side for pair in program.get("states", ()) for side in (pair["input"], pair["output"])]
        names = [program["file"], *program["outputs"], *states, *(tensor["name"] for tensor in program["inputs"])]
        shapes = [tensor["shape"] for tensor in program["inputs"]]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a name in programs is not a text")
        for shape in shapes:
            if not all(isinstance(size, str) or (type(size) is int and 0 <= size <= _LARGEST) for size in shape):
                raise ValueError("a shape in programs is impossible")
            if math.prod(size for size in shape if isinstance(size, int)) > _LARGEST:
                raise ValueError("a shape in programs is impossible")
        for tensor in program["inputs"]:
            if tensor["dtype"] not in ("float32", "int32", "bool"):
                raise ValueError(f"the type {tensor['dtype']!r:.40} of an input is unknown")


class Runtime:
    """The programs of an exported codec; `facts` is the content of codec.json.

    Segments and normalisation are not part of the programs, which code one segment.
    """

    def __init__(self, facts: Mapping[str, Any], models: Mapping[str, bytes | str]) -> None:
        """Args: `models` maps each program to an ONNX model or the path of one.

        Raises:
          CodaxError: onnxruntime is missing, or a model cannot be loaded.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise CodaxError(f"ONNX programs run in onnxruntime: {install('onnx')}") from error
        self.facts = facts
        self._sessions: dict[str, Any] = {}
        for name, model in models.items():
            try:
                self._sessions[name] = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime has its own exception types
                where = model if isinstance(model, str) else name
                raise CodaxError(
                    f"{where}: not an ONNX model that can be run ({str(error).splitlines()[0]})"
                ) from error

    @staticmethod
    def load(folder: str | Path) -> Runtime:
        """Loads a folder written by `codax export --format onnx`. Raises CodaxError naming the file."""
        path = Path(folder) / ABOUT
        try:
            facts = strict_json.read(path, "description of an exported codec")
            _check(facts)
            files = {name: str(path.with_name(program["file"])) for name, program in facts["programs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CodaxError(f"{path}: not the description of an exported codec ({error})") from error
        return Runtime(facts, files)

    @property
    def streams(self) -> bool:
        return "encoder_step" in self._sessions

    def encode(self, audio: np.ndarray, *, denoise: bool = False) -> np.ndarray:
        """Encodes audio [batch, time, channels] to codes int32 [batch, frames, quantizers]; pads the end.

        Raises:
          CodaxError: the audio is invalid, see `codax.audio.arrays`.
        """
        audio = as_chunk(audio, batch=None, channels=self.facts["channels"])
        hop, length = self.facts["hop"], audio.shape[1]
        frames = max(-(-length // hop), self.facts["least_frames"])
        audio = np.pad(audio, ((0, 0), (0, frames * hop - length), (0, 0)))
        codes = self._run("encoder", {"audio": audio}, length=length, denoise=denoise)[0]
        return codes[:, : -(-length // hop)]

    def decode(self, codes: np.ndarray, *, denoise: bool = False) -> np.ndarray:
        """Decodes codes int32 [batch, frames, first quantizers] to audio float32 [batch, frames * hop, channels].

        Raises:
          CodaxError: the codes are invalid, or fewer frames than the program accepts.
        """
        codes, least = self._codes(codes), self.facts["least_frames"]
        if codes.shape[1] < least:
            raise CodaxError(f"{codes.shape[1]} frames of codes: the program needs at least {least}")
        return self._run("decoder", {"codes": codes}, denoise=denoise)[0]

    def stream(self, side: str, batch: int = 1, *, denoise: bool = False) -> Stream:
        """Opens a stream of one side, "encoder" or "decoder"."""
        if side not in ("encoder", "decoder"):
            raise CodaxError(f"side {side!r}: must be encoder or decoder")
        if not self.streams:
            raise CodaxError(f"model {self.facts['model']} is not causal and cannot stream")
        return Stream(self, side, batch, denoise)

    def _codes(self, codes: np.ndarray, **expected: Any) -> np.ndarray:
        return as_codes(codes, self.facts["codebook_size"], self.facts["quantizers"], **expected)

    def _run(self, program: str, given: dict[str, np.ndarray], *, length: int = 0, denoise: bool = False) -> list[Any]:
        names = [tensor["name"] for tensor in self.facts["programs"][program]["inputs"]]
        if denoise and "denoise" not in names:
            raise CodaxError(f"model {self.facts['model']} was not trained to denoise on this side")
        more = {"length": np.asarray(length, np.int32), "denoise": np.asarray(denoise, np.float32)}
        given = given | {name: value for name, value in more.items() if name in names}
        return self._sessions[program].run(None, given)


class Stream:
    """Codes one side, frame by frame."""

    def __init__(self, runtime: Runtime, side: str, batch: int, denoise: bool) -> None:
        self._runtime, self._side, self._batch, self._denoise = runtime, side, batch, denoise
        self._step, self._first = (runtime.facts["programs"].get(f"{side}_{part}") for part in ("step", "start"))
        self._state: dict[str, np.ndarray] = {}
        if self._first is None:
            states = {pair["input"] for pair in self._step["states"]}
            self._state = {
                tensor["name"]: np.zeros([n if isinstance(n, int) else batch for n in tensor["shape"]], tensor["dtype"])
                for tensor in self._step["inputs"]
                if tensor["name"] in states
            }

    @property
    def frames(self) -> int:
        """Number of frames of the next call."""
        return (self._step if self._state else self._first)["frames"]

    def push(self, x: np.ndarray) -> np.ndarray:
        """Encodes the audio of `frames` frames, or decodes their codes; the state is unchanged if they are rejected.

        Raises:
          CodaxError: the audio or the codes are invalid.
        """
        program, facts = f"{self._side}_{'step' if self._state else 'start'}", self._runtime.facts
        length = self.frames * facts["hop"]
        if self._side == "encoder":
            inputs = {"audio": as_chunk(x, batch=self._batch, time=length, channels=facts["channels"])}
        else:
            inputs = {"codes": self._runtime._codes(x, batch=self._batch, frames=self.frames)}
        y, *after = self._runtime._run(program, inputs | self._state, length=length, denoise=self._denoise)
        states = self._runtime.facts["programs"][program]["states"]
        self._state = {pair["input"]: value for pair, value in zip(states, after, strict=True)}
        return y
