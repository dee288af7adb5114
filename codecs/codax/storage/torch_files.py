"""PyTorch's checkpoints as NumPy arrays. Nothing in a file is executed, and nothing larger than the file is made."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.storage.files import refuse_pointer

_MAX_ENTRIES = 100_000  # of all dictionaries in a file
_MAX_DEPTH = 16
_SHARED = 4  # tensors may share values: all of them together are at most this many times as large as the file


class ModelError(CodaxError):
    """A model is missing, damaged or does not fit its config; the message names the file."""


def read_torch(path: Path) -> dict[str, Any]:
    """Reads a checkpoint: nested dictionaries of float32 arrays, numbers, strings and other plain values.

    Raises:
      ModelError: the file cannot be read, holds other objects or tensors, or PyTorch is not installed.
    """
    try:
        refuse_pointer(path, ModelError)
        size = path.stat().st_size
        _refuse_compressed(path, size)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"{path}: reading a PyTorch checkpoint needs PyTorch: pip install torch") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many types of errors for damaged and rejected files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a checkpoint that can be loaded safely ({reason})") from error
    if not isinstance(loaded, Mapping):
        raise ModelError(f"{path}: not a checkpoint but a {type(loaded).__name__}")
    return _Converter(path, size)(loaded)


def _refuse_compressed(path: Path, size: int) -> None:
    """Raises ModelError for a zip file that states more bytes than it has: PyTorch stores tensors uncompressed."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            stated = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelError(f"{path}: not a checkpoint that can be loaded safely ({error})") from error
    if stated > size:
        raise ModelError(f"{path}: states {stated} bytes of tensors in a file of {size}")


class _Converter:
    """Converts what `torch.load` returned, within the limits of a file of `size` bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._entries, self._bytes = _MAX_ENTRIES, _SHARED * size

    def __call__(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """Converts a value; `name` is its place, for messages."""
        if isinstance(value, Mapping):
            self._entries -= len(value)
            if depth > _MAX_DEPTH or self._entries < 0:
                raise ModelError(f"{self._path}: holds itself, or too many nested entries")
            return {str(key): self(one, f"{name}.{key}".lstrip("."), depth + 1) for key, one in value.items()}
        return self._array(value, name) if hasattr(value, "detach") else value

    def _array(self, tensor: Any, name: str) -> Any:
        import torch

        kind = str(tensor.dtype).removeprefix("torch.")
        dense = tensor.layout is torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.is_quantized or tensor.is_complex():
            raise ModelError(f"{self._path}: {name} is not a dense tensor of real numbers, but {tensor.layout} {kind}")
        size = tensor.numel() * tensor.element_size()
        self._bytes -= size
        if size > self._size or self._bytes < 0:
            raise ModelError(f"{self._path}: {name} has {size} bytes, which the file of {self._size} does not hold")
        try:
            return tensor.detach().float().numpy()
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"{self._path}: {name} cannot be converted from {kind}") from error
