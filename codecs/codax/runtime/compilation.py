"""How programs have JAX compile: kept between processes, and without the faults of one version's compiler.

Both are said in the environment, which JAX reads when it starts: nothing here imports it, and processes that a program
starts compile as it does.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from codax.storage.files import cache_folder

SWITCH = "CODAX_KEEP_COMPILED"  # "0" leaves JAX's setting alone
_LEAST_SECONDS = 0.3  # of compilation, for which a file is worth its place
_FOLDER, _LEAST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
_DEFAULTS: dict[str, Any] = {_FOLDER: None, _LEAST: 1.0}  # JAX's

_FLAGS = "XLA_FLAGS"
_FUSIONS = "--xla_cpu_experimental_ynn_fusion_type"
_SOUND = (0, 12)  # the version of JAX from which these fusions can be trusted


@contextlib.contextmanager
def kept_programs() -> Iterator[None]:
    """Compiled programs are kept in codax's folder, so that a command that ran once starts without compiling.

    It does nothing where the user has chosen a folder, or with CODAX_KEEP_COMPILED=0.
    """
    jax = sys.modules.get("jax")
    chosen = os.environ.get(_FOLDER.upper()) or (jax and jax.config.jax_compilation_cache_dir)
    if chosen or os.environ.get(SWITCH) == "0":
        yield
        return
    values = {_FOLDER: str(cache_folder() / "compiled" / processor()), _LEAST: _LEAST_SECONDS}
    before = {name: getattr(jax.config, name) for name in values} if jax else _DEFAULTS
    with _environment({name.upper(): str(value) for name, value in values.items()}):
        if jax:
            _configure(values)
        try:
            yield
        finally:
            if "jax" in sys.modules:
                _configure(before)


def _configure(values: dict[str, Any]) -> None:
    """Sets what JAX reads from the environment no more, once it has been imported."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # else the folder of the first program stays the cache's


@contextlib.contextmanager
def sound_fusions() -> Iterator[None]:
    """Keeps JAX 0.10.2 and 0.11.0 on CPUs from fusions that are wrong, unless XLA_FLAGS speaks of them.

    In 0.10.2 a matrix-vector product mapped over 32,769 rows or more and summed is wrong in its last rows (jax#39103);
    in both, products of rank 7 or more that are summed along an axis end the process (jax#40412, jax#39257).
    """
    flags = os.environ.get(_FLAGS, "")
    if _FUSIONS in flags or _version() >= _SOUND:
        yield
        return
    with _environment({_FLAGS: f"{flags} {_FUSIONS}=".strip()}):
        yield


def _version() -> tuple[int, ...]:
    """Version of JAX, without importing it."""
    return tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2])


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def processor() -> str:
    """Of this kind of processor: a home folder may be shared with machines that lack its instructions."""
    from codax.storage.digests import sha256  # NumPy comes after the allocator is set up

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        kind = platform.processor()
    return sha256(f"{platform.machine()}\n{kind}").hexdigest()[:12]
