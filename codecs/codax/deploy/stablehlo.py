"""Exports a codec as StableHLO programs, which `jax.export.deserialize` loads without codax.

Each program has both forms of the convolutions, for CPUs and for accelerators (see `nets/conv.py`), and one copy of the
weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax import export

from codax.codec.codec import Codec
from codax.deploy.about import about, about_text
from codax.deploy.programs import programs
from codax.deploy.runtime import ABOUT
from codax.runtime.platforms import tracing_for
from codax.storage.tensors import write_folder

PLATFORMS = ("cpu", "cuda", "tpu")


def export_stablehlo(codec: Codec, folder: str | Path) -> None:
    """Writes codec.json and NAME.stablehlo for each program of the codec.

    Raises:
      CodaxError: the codec cannot be exported, or a file cannot be written.
    """
    exported = programs(codec)
    files = {f"{program.name}.stablehlo": _exported(program.function, program.inputs) for program in exported}
    write_folder(folder, files | {ABOUT: about_text(about(codec, exported, ".stablehlo"))})


def _exported(function: Callable[..., Any], inputs: dict[str, Any]) -> bytes:
    def traced_for(platform: str) -> Callable[..., Any]:
        def run(*arrays: jax.Array) -> Any:
            with tracing_for(platform):
                return function(*arrays)

        return run

    def either(*arrays: jax.Array) -> Any:
        return jax.lax.platform_dependent(*arrays, cpu=traced_for("cpu"), default=traced_for("gpu"))

    with _without_source_files():
        return bytes(export.export(jax.jit(either), platforms=PLATFORMS)(*inputs.values()).serialize())


@contextlib.contextmanager
def _without_source_files() -> Iterator[None]:
    """Operations do not name the source files that they come from: these are paths on the machine that exports."""
    limit = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", limit)
