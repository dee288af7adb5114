"""Which kind of device a function is traced for: the same network has other forms on the CPU than on accelerators."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_PLANNED: contextvars.ContextVar[str | None] = contextvars.ContextVar("planned", default=None)


def platform() -> str:
    """ "cpu", "tpu" or "gpu": where what is traced now will run."""
    return _PLANNED.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """What is traced inside is meant for another platform than this process's."""
    token = _PLANNED.set(name)
    try:
        yield
    finally:
        _PLANNED.reset(token)
