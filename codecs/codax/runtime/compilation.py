"""JAX's compilation: a persistent cache, no fusions with known bugs, and few sizes of arrays.

The first two are set in the environment, which JAX reads when it starts. So this module does not import JAX, and child
processes inherit the settings.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.runtime import messages
from codax.storage.files import cache_folder

SWITCH = "CODAX_KEEP_COMPILED"  # "0" keeps JAX's setting
_LEAST_SECONDS = 0.3  # minimum compilation time of a cached program
_FOLDER, _LEAST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
_DEFAULTS: dict[str, Any] = {_FOLDER: None, _LEAST: 1.0}  # JAX's

_FLAGS = "XLA_FLAGS"
_FUSIONS = "--xla_cpu_experimental_ynn_fusion_type"
_SOUND = (0, 12)  # first version of JAX with correct fusions


def padded_size(size: int, finest: int = 1) -> int:
    """The size to pad an axis of `size` >= 1 to, so that few programs are compiled.

    It is a multiple of `finest`, and of an eighth of the next power of 2: at most a quarter larger, or `finest`.
    """
    step = max(finest, 2 ** max((size - 1).bit_length() - 3, 0))
    return -(-size // step) * step


@contextlib.contextmanager
def kept_programs() -> Iterator[None]:
    """Caches compiled programs in codax's folder, so that only the first run of a command compiles.

    It has no effect if the user has chosen a folder, with CODAX_KEEP_COMPILED=0, or if the folder cannot be written.
    """
    jax = sys.modules.get("jax")
    chosen = os.environ.get(_FOLDER.upper()) or (jax and jax.config.jax_compilation_cache_dir)
    if chosen or os.environ.get(SWITCH) == "0":
        yield
        return
    try:
        folder = cache_folder() / "compiled" / processor()
        problem = f"{folder}: compiled programs are not kept ({reason})" if (reason := unusable(folder)) else ""
    except CodaxError as error:
        folder, problem = Path(), f"compiled programs are not kept ({error})"
    if problem:
        messages.note(f"codax: {problem}")
        yield
        return
    values = {_FOLDER: str(folder), _LEAST: _LEAST_SECONDS}
    before = {name: getattr(jax.config, name) for name in values} if jax else _DEFAULTS
    with _environment({name.upper(): str(value) for name, value in values.items()}):
        if jax:
            _configure(values)
        try:
            yield
        finally:
            if "jax" in sys.modules:
                _configure(before)


def unusable(folder: Path) -> str:
    """Returns why no file can be written in a folder, which is created if it does not exist; "" if one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _configure(values: dict[str, Any]) -> None:
    """Sets JAX's configuration directly, since an imported JAX ignores the environment."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # otherwise the cache stays in the first program's folder


@contextlib.contextmanager
def sound_fusions() -> Iterator[None]:
    """Disables buggy CPU fusions in JAX 0.10.2 and 0.11.0, unless XLA_FLAGS has their flag.

    In 0.10.2 a matrix-vector product mapped over 32,769 rows or more and summed is wrong in its last rows (jax#39103).
    In both versions products of rank 7 or more that are summed along an axis crash (jax#40412, jax#39257).
    """
    flags = os.environ.get(_FLAGS, "")
    if _FUSIONS in flags or _version() >= _SOUND:
        yield
        return
    with _environment({_FLAGS: f"{flags} {_FUSIONS}=".strip()}):
        yield


def _version() -> tuple[int, ...]:
    """Returns the version of JAX without importing it."""
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
    """Returns a hash of the processor type: machines without its instructions may share the cache folder."""
    from codax.storage.digests import sha256  # imports NumPy, which must follow the configuration of the allocator

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        kind = platform.processor()
    return sha256(f"{platform.machine()}\n{kind}").hexdigest()[:12]
