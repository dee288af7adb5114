"""Arrays by name in files of other projects, read without ever running a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codax.codec import ModelError, read_safetensors


def read_tensors(path: Path) -> dict[str, Any]:
    """A safetensors file, or a PyTorch checkpoint with tensors, numbers and strings only, as NumPy arrays.

    PyTorch is needed for its own files alone, and loads nothing that would run code.

    Raises:
      ModelError: the file cannot be read, holds something else, or PyTorch is not installed.
    """
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path))
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"{path}: reading a PyTorch checkpoint needs PyTorch: pip install torch") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises errors of many kinds for damaged and for refused files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a checkpoint that can be loaded safely ({reason})") from error
    if not isinstance(loaded, Mapping):
        raise ModelError(f"{path}: not a checkpoint but a {type(loaded).__name__}")
    return _as_numpy(loaded)


def _as_numpy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _as_numpy(v) for k, v in value.items()}
    return value.detach().float().numpy() if hasattr(value, "detach") else value
