"""What codax sets up in a process: the allocator and the cache of compiled programs, unless the user has."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ALLOCATOR = "from codax.allocator import keep_memory; print(keep_memory())"
COMPILED = (
    "import jax; from codax.compiled import keep_compiled; keep_compiled();"
    "print(jax.config.jax_compilation_cache_dir);"
    "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0); jax.jit(lambda x: x + 1)(1.0)"
)


def run(code: str, **environment: str) -> str:
    cleared = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "JAX_COMPILATION_CACHE_DIR")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=cleared | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of another kind")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "True"),
        ({"CODAX_KEEP_MEMORY": "all"}, "True"),
        ({"CODAX_KEEP_MEMORY": "0"}, "False"),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, "False"),
        ({"MALLOC_ARENA_MAX": "2"}, "False"),
    ],
)
def test_the_allocator_is_set_up_unless_the_user_has(environment, expected) -> None:
    assert run(ALLOCATOR, **environment) == expected


def test_programs_are_kept_in_the_users_cache(tmp_path: Path) -> None:
    folder = Path(run(COMPILED, CODAX_CACHE=str(tmp_path), JAX_PLATFORMS="cpu"))
    assert folder.parent == tmp_path / "compiled"
    assert list(folder.iterdir())


def test_another_cache_of_programs_is_left_alone(tmp_path: Path) -> None:
    given = {"CODAX_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    assert run(COMPILED, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"), **given) == str(tmp_path / "own")
    assert run(COMPILED, CODAX_KEEP_COMPILED="0", **given) == "None"
    assert not (tmp_path / "compiled").exists()
