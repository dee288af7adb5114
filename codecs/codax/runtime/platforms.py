"""The platform that a function is traced for: networks have other implementations on CPUs than on accelerators."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_PLANNED: contextvars.ContextVar[str | None] = contextvars.ContextVar("planned", default=None)


def platform() -> str:
    """Returns the platform of functions that are traced now: "cpu", "tpu" or "gpu"."""
    return _PLANNED.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """Makes `platform` return `name` within the block, to trace for another platform than this process's."""
    token = _PLANNED.set(name)
    try:
        yield
    finally:
        _PLANNED.reset(token)
