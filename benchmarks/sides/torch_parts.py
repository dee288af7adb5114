"""Helpers shared by the PyTorch sides."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.manual_seed(0)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Anything(types.ModuleType):
    """A module with any attribute, to replace imports of a codec that are not needed here."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def without(*names: str) -> None:
    """Installs a stand-in for each package that is not installed."""
    for name in names:
        try:
            __import__(name)
        except ImportError:
            sys.modules[name] = Anything(name)


def first_last(x: np.ndarray) -> torch.Tensor:
    """Converts [batch, time, channels] to PyTorch's [batch, channels, time]."""
    return torch.from_numpy(np.moveaxis(x, 1, 2).copy()).to(DEVICE)


def tensors(file: Path) -> dict[str, torch.Tensor]:
    """The arrays of a safetensors file."""
    from safetensors.torch import load_file

    return load_file(file)


def codes_of(case: Any) -> torch.Tensor:
    """Codes to decode, int64 [batch, levels, frames]."""
    return torch.from_numpy(case.codes()).long().transpose(1, 2).to(DEVICE)


def synchronize() -> None:
    """Waits for a GPU to finish."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def quiet(function: Callable[[], Any]) -> Callable[[], Any]:
    """Wraps a function to run without gradients and to return when it has finished."""

    def run() -> Any:
        with torch.inference_mode():
            result = function()
        synchronize()
        return result

    return run
