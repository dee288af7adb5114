"""Light modules stay light, and optional packages optional; the layers themselves are checked by lint-imports."""

import subprocess
import sys

LIGHT = """
import importlib, sys
names = "", ".config", ".containers.whole_files", ".audio", ".data.sources.spec", ".tokens"
for name in (f"codax{part}" for part in names):
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
