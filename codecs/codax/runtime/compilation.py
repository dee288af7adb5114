"""Keeps compiled programs between processes, so that a command that ran once starts without compiling."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import jax

from codax.storage.digests import sha256
from codax.storage.files import cache_folder

SWITCH = "CODAX_KEEP_COMPILED"  # "0" leaves JAX's setting alone
_LEAST_SECONDS = 0.3  # of compilation, for which a file is worth its place


def keep_compiled() -> None:
    """Turns JAX's persistent cache of programs on, in codax's folder, unless the user has chosen one."""
    if os.environ.get(SWITCH) == "0" or jax.config.jax_compilation_cache_dir:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled" / _processor()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)


def _processor() -> str:
    """Of this kind of processor: a home folder may be shared with machines that lack its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        kind = platform.processor()
    return sha256(f"{platform.machine()}\n{kind}").hexdigest()[:12]
