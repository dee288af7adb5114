"""SHA-256 of texts, arrays and files."""

from __future__ import annotations

import hashlib
import os

import numpy as np


def sha256(*parts: str | bytes | np.ndarray) -> hashlib._Hash:
    """SHA-256 of the concatenated parts: text in UTF-8, arrays as their bytes in C order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode("utf-8", "surrogateescape"))  # file names may be invalid UTF-8
        else:
            digest.update(part if isinstance(part, bytes) else raw(part))
    return digest


def raw(value: np.ndarray) -> memoryview:
    """The bytes of an array in C order; a contiguous array is not copied."""
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8).data


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
