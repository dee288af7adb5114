"""Named arrays in files, also those of other projects; pickles are never executed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from codax.errors import CodaxError
from codax.storage.digests import sha256
from codax.storage.files import write_together

_CHECKSUM = "sha256"  # key in the header
_MAPPED = 1 << 26  # bytes read before the file is reopened
_ALIGNMENT = 64  # bytes; JAX uses aligned arrays on the CPU without a copy


class ModelError(CodaxError):
    """A model is missing, damaged or does not fit its config; the message names the file."""


def write_folder(folder: str | Path, files: Mapping[str, bytes | str], kind: str = "model") -> None:
    """Writes the files of a model; a failure leaves all earlier files. Raises ModelError."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_together(folder, files)
    except OSError as error:
        raise ModelError(f"{folder}: cannot save the {kind} ({error.strerror or error})") from error


def safetensors_bytes(arrays: Mapping[str, np.ndarray], **about: str) -> bytes:
    """Serialises arrays as safetensors, with their SHA-256 and `about` in the header; the bytes are deterministic."""
    from safetensors.numpy import save

    data = save(dict(arrays), metadata=about | {_CHECKSUM: _checksum(arrays)})
    # The library writes the metadata in a random order; the header starts after its length.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # keeps the arrays aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file. Raises ModelError if it is unreadable or its checksum does not match."""
    from safetensors import SafetensorError, safe_open

    arrays, checksum, names = {}, None, None
    try:
        # The library maps the file into memory. Reopening it regularly releases the pages that were read, so that the
        # file does not occupy memory beside the arrays.
        while names or names is None:
            with safe_open(path, "numpy") as file:
                if names is None:
                    names, checksum = list(file.keys()), (file.metadata() or {}).get(_CHECKSUM)
                size = 0
                while names and size < _MAPPED:
                    name = names.pop()
                    arrays[name] = _aligned(file.get_tensor(name))
                    size += arrays[name].nbytes
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error
    if checksum is not None and checksum != _checksum(arrays):
        raise ModelError(f"{path}: damaged, its arrays do not have the checksum in its header")
    return arrays


def _aligned(value: np.ndarray) -> np.ndarray:
    buffer = np.empty(value.nbytes + _ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    copy = buffer[start : start + value.nbytes].view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hexadecimal, of names, types, shapes and values, sorted by name."""
    named = ((f"{name} {value.dtype} {list(value.shape)}\n", value) for name, value in sorted(arrays.items()))
    return sha256(*itertools.chain.from_iterable(named)).hexdigest()


def read_tensors(path: Path) -> dict[str, Any]:
    """Reads a safetensors file, or a PyTorch checkpoint of tensors, numbers and strings, as NumPy arrays.

    PyTorch is needed only for its own files, and loads them without executing code.

    Raises:
      ModelError: the file cannot be read or holds other objects, or PyTorch is not installed.
    """
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path))
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
    return _as_numpy(loaded)


def _as_numpy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _as_numpy(v) for k, v in value.items()}
    return value.detach().float().numpy() if hasattr(value, "detach") else value


def check_arrays(arrays: Mapping[str, np.ndarray], shapes: Any, path: Path) -> None:
    """Checks the name, shape, type and finiteness of every array against a tree of `jax.ShapeDtypeStruct`.

    Raises:
      ModelError: naming `path` and the array.
    """
    expected = flatten_dict(shapes, sep=".")
    for name, shape in expected.items():
        if name not in arrays:
            raise ModelError(f"{path}: {name} is missing")
        if arrays[name].shape != shape.shape or arrays[name].dtype != shape.dtype:
            actual = f"{arrays[name].dtype}{list(arrays[name].shape)}"
            raise ModelError(f"{path}: {name} is {actual}, the config needs {shape.dtype}{list(shape.shape)}")
        if not np.isfinite(arrays[name]).all():
            raise ModelError(f"{path}: {name} holds values that are not finite")
    unknown = sorted(set(arrays) - set(expected))
    if unknown:
        raise ModelError(f"{path}: {unknown[0]} does not belong to the config")
