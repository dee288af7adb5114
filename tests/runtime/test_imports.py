"""Importing codax and making its objects change nothing in the process; programs restore what they change."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What a process has that a library may change. Loggers, flags and settings that a first import defines are no change:
# those that were there must stay as they were. Calls of `mallopt` are counted, and not made.
STATE = """
import ctypes, dataclasses, importlib, logging, os, pkgutil, signal, sys, tempfile, warnings

calls = []

class Counting(ctypes.CDLL):
    def __getattr__(self, name):
        if name in ("mallopt", "malloc_trim"):
            return lambda *values: calls.append((name, *values)) or 1
        return super().__getattr__(name)

ctypes.CDLL = Counting

def state():
    loggers = {n: x for n, x in logging.Logger.manager.loggerDict.items() if isinstance(x, logging.Logger)}
    loggers["root"] = logging.getLogger()
    found = {f"logger {n}": (x.level, x.propagate, x.disabled, *map(id, x.handlers)) for n, x in loggers.items()}
    for name in ("excepthook", "unraisablehook", "displayhook", "breakpointhook"):
        found[name] = id(getattr(sys, name))
    found |= {"recursion": sys.getrecursionlimit(), "warnings": list(map(str, warnings.filters))}
    found |= {f"signal {s}": id(signal.getsignal(s)) for s in signal.valid_signals()}
    found |= {f"environment {n}": v for n, v in os.environ.items()}
    if "jax" in sys.modules:
        import jax
        found |= {f"jax {n}": repr(v) for n, v in jax.config.values.items()}
    found["mallopt"] = list(calls)
    return found

def fields():
    return {
        f"{module}.{cls.__qualname__}.{field.name}": id(field.type)
        for module in list(sys.modules) if module.startswith("codax.config")
        for cls in vars(sys.modules[module]).values() if dataclasses.is_dataclass(cls) and isinstance(cls, type)
        for field in dataclasses.fields(cls)
    }

def check(before, after, what):
    changed = {n: (v, after.get(n)) for n, v in before.items() if after.get(n) != v}
    changed |= {n: v for n, v in after.items() if n.startswith("environment") and n not in before}
    assert not changed, f"{what}: {changed}"
"""

IMPORTS = (
    STATE
    + """
import jax, flax, optax, orbax.checkpoint, grain, absl.app, ml_collections.config_flags, librosa, scipy.signal, typer
import threadpoolctl  # sets KMP_DUPLICATE_LIB_OK
before = state()
import codax
for found in pkgutil.walk_packages(codax.__path__, "codax."):
    try:
        importlib.import_module(found.name)
    except ImportError as error:  # an extra that is not installed
        assert not str(error.name).startswith("codax"), error
check(before, state(), "import")

types, before = fields(), state()
from codax.config import Config, recipe_flags
from codax.training import checkpoints, parallel
recipe_flags.read("configs/quickstart.py", ["--config.train.batch_size=4"])
with checkpoints.Checkpoints(tempfile.mkdtemp(), kept=1):
    parallel.Parallel()
check(before, state(), "objects")
check(types, fields(), "fields of the config")
"""
)

PROGRAM = (
    STATE
    + """
import asyncio
import absl.logging
import jax
from codax.runtime.allocator import give_back
from codax.runtime.program import program, quiet_checkpoints
jax.devices()
give_back()
assert not calls
before = state()
with program(), quiet_checkpoints():
    inside = state()
    give_back()
    assert "JAX_COMPILATION_CACHE_DIR" in os.environ
    assert logging.getLogger("absl").level == logging.CRITICAL
    assert inside["unraisablehook"] != before["unraisablehook"]
    assert inside["jax jax_compilation_cache_dir"] != before["jax jax_compilation_cache_dir"]
if calls:  # glibc
    assert ("malloc_trim", 0) in calls
    options = [call[1:] for call in calls if call[0] == "mallopt"]
    made, unmade = dict(options[: len(options) // 2]), dict(options[len(options) // 2 :])
    assert made.keys() == unmade.keys()
    assert unmade.items() <= {-1: 131072, -3: 131072, -2: 131072, -8: 0}.items(), unmade
calls.clear()
check(before, state(), "program")
give_back()
assert not calls
"""
)

LIGHT = """
import sys
import codax
from codax.runtime import program
heavy = {"jax", "jaxlib", "flax", "librosa", "numpy", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("code", [IMPORTS, PROGRAM, LIGHT], ids=["imports", "program", "light"])
def test_nothing_is_changed(code: str, tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "JAX_COMPILATION_CACHE_DIR")}
    env |= {"CODAX_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
