"""Arrays of NumPy or JAX: each function computes with the library of its argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from codax.errors import CodaxError

Array = Any  # a NumPy or JAX array, also a tracer


def namespace(array: Array) -> Any:
    """Returns the library of an array, `numpy` or `jax.numpy`."""
    return array.__array_namespace__()


def checked(array: Array, dimensions: int, shape: str) -> Array:
    """Returns an array of integers or booleans with at least these dimensions; lists become NumPy arrays.

    Raises:
      CodaxError: another type, or fewer dimensions; the message names the expected shape.
    """
    array = array if hasattr(array, "__array_namespace__") else np.asarray(array)
    if array.ndim < dimensions or array.dtype.kind not in "iub":
        raise CodaxError(f"tokens: expected integers {shape}, got {array.dtype} {list(array.shape)}")
    return array


def check_levels(array: Array, levels: int | None) -> None:
    """Checks the last axis. Raises CodaxError."""
    if levels is not None and array.shape[-1] != levels:
        raise CodaxError(f"tokens: expected {levels} quantizers on the last axis, got {array.shape[-1]}")
