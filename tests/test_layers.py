"""Light modules stay light, and optional packages optional; the layers themselves are checked by lint-imports."""

import subprocess
import sys

LIGHT = """
import importlib, sys
for name in ("codax", "codax.config", "codax.containers.whole_files", "codax.audio", "codax.data.sources.spec"):
    importlib.import_module(name)
    assert not {"jax", "torch"} & set(sys.modules), name
"""
OPTIONAL = """
import sys, codax.codec.codec, codax.training.step, codax.evaluation, codax.metrics, codax.baselines
found = {"torch", "tensorflow", "pesq", "pystoi", "jiwer", "faster_whisper"} & set(sys.modules)
assert not found, found
"""


def test_light_modules_do_not_import_jax():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_no_optional_package_at_top_level():
    subprocess.run([sys.executable, "-c", OPTIONAL], check=True)
