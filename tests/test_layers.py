"""The layer rules of the architecture hold, and the light commands stay light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_import_contracts():
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "module", ["codax", "codax.config", "codax.containers.whole_files", "codax.audio", "codax.data.sources.spec"]
)
def test_light_modules_do_not_import_jax(module):
    code = f"import sys, {module}; assert 'jax' not in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_optional_package_at_top_level():
    code = (
        "import sys, codax.codec.codec, codax.training.step, codax.evaluation, codax.metrics, codax.baselines\n"
        "found = {'torch', 'tensorflow', 'pesq', 'pystoi', 'jiwer', 'faster_whisper'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
