"""Programs on a machine without the devices that JAX_PLATFORMS names: one line and status 1."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from codax import audio
from codax.errors import CodaxError
from codax.runtime.program import named_devices

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (("-m", "codax.cli.launch", "encode", "in/a.wav", "a.codax"), "codax"),
        ((str(ROOT / "train.py"), f"--config={ROOT / 'configs/quickstart.py'}", "--workdir=out"), "error"),
        ((str(ROOT / "eval.py"), "--model=soundstream-speech", "--out=out", "--metrics=snr", "--data=in"), "eval.py"),
    ],
)
def test_one_line_names_the_platform(program, name, tmp_path):
    (tmp_path / "in").mkdir()
    for file in "ab":
        audio.write(tmp_path / "in" / f"{file}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)
    more = ("--config.data.source=in",) if name == "error" else ()
    environment = os.environ | {"JAX_PLATFORMS": "abacus", "CODAX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, *program, *more]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"{name}: JAX_PLATFORMS=abacus: this machine has no such device")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "a.codax").exists() and not (tmp_path / "out").exists()


def test_other_errors_are_themselves(monkeypatch):
    with pytest.raises(RuntimeError, match="shape"), named_devices():
        raise RuntimeError("shape")

    def devices():
        raise AssertionError  # as JAX does if a platform has no plugin

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(CodaxError, match="this machine has no such device$"), named_devices():
        raise AssertionError
