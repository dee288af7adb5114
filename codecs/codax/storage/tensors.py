"""Named arrays in files, also those of other projects; pickles are never executed."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from codax.errors import shown
from codax.storage import strict_json
from codax.storage.digests import sha256
from codax.storage.files import refuse_pointer, require_file, write_together
from codax.storage.torch_files import ModelError, read_torch

_CHECKSUM = "sha256"  # key in the header
_MAPPED = 1 << 26  # bytes read before the file is reopened
_ALIGNMENT = 64  # bytes; JAX uses aligned arrays on the CPU without a copy
INDEX = ".index.json"
# Types of safetensors that NumPy has, with `ml_dtypes`.
_ITEM_BYTES = {
    "BOOL": 1, "I8": 1, "U8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8,
    "U64": 8, "F64": 8,
}  # fmt: skip


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

    require_file(path, ModelError)
    arrays, checksum, names = {}, None, None
    read_shapes(path)  # the library accepts types that NumPy does not have
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
        raise ModelError(f"{path}: not a readable safetensors file ({error!s:.300})") from error
    if checksum is not None and checksum != _checksum(arrays):
        raise ModelError(f"{path}: damaged, its arrays do not have the checksum in its header")
    return arrays


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Reads the shapes of the arrays in a safetensors file, without the arrays.

    Raises:
      ModelError: the file is unreadable, an array has a type that codax does not read, or is not all in the file.
    """
    try:
        refuse_pointer(path, ModelError)
        with path.open("rb") as file:
            start = file.read(8)
            size, length = os.fstat(file.fileno()).st_size - 8, int.from_bytes(start, "little")
            if len(start) < 8 or length > size:
                raise ModelError(f"{path}: not a readable safetensors file (the header is longer than the file)")
            if length > strict_json.MAX_BYTES:
                raise ModelError(f"{path}: not a readable safetensors file (a header of {length} bytes)")
            header = strict_json.parse(file.read(length))
    except OSError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error.strerror or error})") from error
    except strict_json.JSONError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise ModelError(f"{path}: not a readable safetensors file (the header is not an object)")
    header.pop("__metadata__", None)
    return {name: _shape(f"{path}: {name:.100}", about, size - length) for name, about in header.items()}


def _shape(where: str, about: Any, available: int) -> tuple[int, ...]:
    """Checks an array's entry of a header against the number of bytes after it; returns its shape."""
    fields = about if isinstance(about, dict) else {}
    values: Any = [fields.get(name) for name in ("dtype", "shape", "data_offsets")]
    dtype, shape, offsets = values
    lists = all(isinstance(one, list) and all(type(n) is int and n >= 0 for n in one) for one in (shape, offsets))
    if not lists or len(offsets) != 2 or not isinstance(dtype, str):
        raise ModelError(f"{where}: has no type, shape or place in the file")
    if dtype not in _ITEM_BYTES:
        raise ModelError(f"{where}: arrays of type {dtype[:20]} are not supported")
    begin, end = offsets
    if end > available or end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise ModelError(f"{where}: {end - begin} bytes do not hold {dtype}{shown(shape)}, or are not all in the file")
    return tuple(shape)


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

    PyTorch is needed only for its own files, and loads them without executing code. An index of files
    (`*.index.json` of transformers) stands for the arrays of all of them.

    Raises:
      ModelError: the file cannot be read or holds other objects, or PyTorch is not installed.
    """
    if path.name.endswith(INDEX):
        return _read_indexed(path)
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path))
    require_file(path, ModelError)
    return read_torch(path)


def _read_indexed(path: Path) -> dict[str, Any]:
    places = strict_json.read_object(path, "index", ModelError).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ModelError(f"{path}: not a readable index (no weight_map of names of files)")
    arrays: dict[str, Any] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or name.endswith(INDEX):
            raise ModelError(f"{path}: {name!r:.80} is not the name of a file beside it")
        arrays |= read_tensors(path.with_name(name))
    missing = sorted(set(places) - set(arrays))
    if missing:
        raise ModelError(f"{path}: {missing[0]} is missing in {places[missing[0]]}")
    return arrays


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
