"""Quick compilation, a cache of compiled programs that stays between runs, eight CPU devices, and no extra threads.

Small networks compile for seconds and run for milliseconds, so LLVM optimises nothing here; XLA's own passes remain.
With XLA_FLAGS set (to nothing, say) the suite runs as codax does for its users.
"""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

for _name, _value in {
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    # Two workers use two cores: threads of libraries that wait for work by spinning would slow the other worker.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}.items():
    os.environ.setdefault(_name, _value)

from codax.runtime.compilation import processor, sound_fusions  # noqa: E402

_fusions = sound_fusions()  # as train.py has them, whose runs are compared with runs in this process
_fusions.__enter__()

import jax  # noqa: E402 (reads the environment)
import pytest  # noqa: E402

_DAYS = 7  # after which a program is compiled again, so that those of earlier versions of the code do not pile up

# Several devices are compared with one in this process; processes that tests start have one, unless they ask for more.
jax.config.update("jax_num_cpu_devices", 8)

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set by the first process; workers and subprocesses inherit it
    _cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codax-tests" / processor()
    for _path in _cache.glob("*-cache"):
        if _path.stat().st_mtime < time.time() - 86_400 * _DAYS:
            _path.unlink(missing_ok=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_cache)
    jax.config.update("jax_compilation_cache_dir", str(_cache))

# Every compiled program takes about 15 memory maps, and Linux gives a process at most 65,530 (vm.max_map_count):
# loading a program beyond them is a segmentation fault.
_MAPS, _MOST_MAPS = Path("/proc/self/maps"), 30_000


@pytest.fixture(autouse=True, scope="module")
def _few_programs() -> Iterator[None]:
    """Drops the compiled programs of a worker that has many; tests that need them again read them from the cache."""
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()
