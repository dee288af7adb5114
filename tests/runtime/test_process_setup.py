"""What codax sets up in a process: the allocator and the cache of compiled programs, unless the user has."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ALLOCATOR = """
from codax.runtime.allocator import kept_memory
with kept_memory() as is_set:
    print(is_set)
"""
ARENAS = """
import ctypes, sys, threading
from codax.runtime.allocator import kept_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
with kept_memory():
    thread = threading.Thread(target=libc.malloc, args=(10_000,))
    thread.start()
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[1]).read().count("<heap nr="))
"""
TUNABLES = (
    "import os, sys; from codax.runtime.allocator import use_huge_pages; use_huge_pages();"
    "print(sys.argv[1]); print(os.environ.get('GLIBC_TUNABLES'))"
)
SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HUGE_PAGES = (
    platform.libc_ver()[0] == "glibc"
    and tuple(map(int, platform.libc_ver()[1].split("."))) >= (2, 35)
    and SYSTEM.is_file()
    and "[madvise]" in SYSTEM.read_text()
)
COMPILED = """
import sys
if "early" in sys.argv:
    import jax
from codax.runtime.program import program
with program():
    import jax
    print(jax.config.jax_compilation_cache_dir)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.jit(lambda x: x + 1)(1.0)
print(jax.config.jax_compilation_cache_dir)
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    cleared = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "JAX_COMPILATION_CACHE_DIR")}
    command = [sys.executable, "-c", code, *arguments]
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
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, "True"),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2"}, "False"),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, "False"),
        ({"MALLOC_ARENA_MAX": "2"}, "False"),
    ],
)
def test_the_allocator_is_set_up_unless_the_user_has(environment, expected) -> None:
    assert run(ALLOCATOR, **environment) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of another kind")
@pytest.mark.parametrize(
    ("environment", "arenas"),
    [
        ({}, 1),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, 2),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "CODAX_KEEP_MEMORY": "all"}, 1),
    ],
    ids=["small", "huge", "huge, all kept"],
)
def test_threads_share_an_arena_where_pages_are_small_or_all_is_kept(tmp_path, environment, arenas) -> None:
    assert run(ARENAS, str(tmp_path / "arenas.xml"), **environment) == str(arenas)


@pytest.mark.skipif(not HUGE_PAGES, reason="no huge pages for those who ask")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "glibc.malloc.hugetlb=1"),
        ({"GLIBC_TUNABLES": "glibc.rtld.nns=2"}, "glibc.rtld.nns=2:glibc.malloc.hugetlb=1"),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, "glibc.malloc.hugetlb=0"),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, "glibc.malloc.arena_max=2"),
        ({"MALLOC_ARENA_MAX": "2"}, "None"),
        ({"CODAX_KEEP_MEMORY": "0"}, "None"),
    ],
)
def test_a_program_starts_again_with_huge_pages_once(environment, expected) -> None:
    assert run(TUNABLES, "a word", **environment).splitlines() == ["a word", expected]


@pytest.mark.parametrize("jax_is", ["late", "early"])
def test_programs_are_kept_in_the_users_cache(tmp_path: Path, jax_is: str) -> None:
    inside, after = run(COMPILED, jax_is, CODAX_CACHE=str(tmp_path), JAX_PLATFORMS="cpu").splitlines()
    assert Path(inside).parent == tmp_path / "compiled"
    assert list(Path(inside).iterdir())
    assert after == "None"


def test_another_cache_of_programs_is_left_alone(tmp_path: Path) -> None:
    given = {"CODAX_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    own = str(tmp_path / "own")
    assert run(COMPILED, JAX_COMPILATION_CACHE_DIR=own, **given).splitlines() == [own, own]
    assert run(COMPILED, CODAX_KEEP_COMPILED="0", **given).splitlines() == ["None", "None"]
    assert not (tmp_path / "compiled").exists()
