"""Common input checks of waveform metrics, and imports of optional packages."""

from __future__ import annotations

import importlib
import types

import numpy as np

from codax.audio.arrays import as_floats, as_signal
from codax.errors import CodaxError, Extra, install


class MetricError(CodaxError):
    """A metric cannot be computed for this input, or its optional package is missing."""


def pair(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two signals as float64 [time, channels], of the same shape.

    Args:
      reference: [time] or [time, channels]; floats of full scale 1, or integers (see `codax.audio.arrays`).
      estimate: the same shape.

    Raises:
      MetricError: the shapes differ, a signal is empty, or a value is not finite.
    """
    try:
        ref, est = (as_signal(x, np.float64) for x in (reference, estimate))
    except CodaxError as error:
        raise MetricError(str(error)) from error
    if ref.shape != est.shape:
        raise MetricError(f"signals of different shapes {ref.shape} and {est.shape}: align and resample them first")
    return ref, est


def mono(audio: np.ndarray) -> np.ndarray:
    """Mean over channels: [time, channels] or [time] -> [time]."""
    audio = as_floats(audio, None)
    return audio if audio.ndim == 1 else audio.mean(axis=1)


def optional(module: str, extra: Extra) -> types.ModuleType:
    """Imports a module of an optional dependency.

    Args:
      module: import name.
      extra: extra of codax that installs it.

    Raises:
      MetricError: it is not installed; the message has the command that installs it.
    """
    return _imported(module, install(extra))


def installed(module: str, packages: str) -> types.ModuleType:
    """As `optional`, for a module that no extra installs; `packages` are the arguments of pip."""
    return _imported(module, f"pip install {packages}")


def _imported(module: str, command: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MetricError(f"{name} is not installed ({error}): {command}") from error
