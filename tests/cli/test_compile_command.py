"""`codax compile` fills the cache of compiled programs for training."""

from __future__ import annotations

import re
from pathlib import Path

from tiny_run import WHOLE_STEP, environment, run_program, tiny_config, write_corpus, write_recipe


def test_training_compiles_no_step_again(tmp_path: Path) -> None:
    config = tiny_config(**WHOLE_STEP | {"train__steps": 2, "quantizer__start_step": 1})
    config.data.source = str(write_corpus(tmp_path / "speech"))
    recipe = write_recipe(tmp_path / "tiny.py", config)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = run_program("-m", "codax", "compile", "--config", recipe, env=environment() | cache)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Cache: {tmp_path / 'compiled'}" in done.stdout
    (count,) = re.findall(r"compiled in [\d.]+ s \((\d+) programs[;,]", done.stdout)
    trained = run_program("train.py", f"--config={recipe}", f"--workdir={tmp_path / 'run'}", env=environment() | cache)
    assert trained.returncode == 0, trained.stderr
    steps = re.findall(r"compiled and run in [\d.]+ s \((\d+) programs, (\d+) of them from the cache", trained.stdout)
    assert steps and all(programs == kept for programs, kept in steps)
    assert sum(int(programs) for programs, _ in steps) == int(count)
