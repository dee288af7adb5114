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


def test_a_folder_that_keeps_no_programs(tmp_path: Path) -> None:
    """It is reported before anything is compiled; other programs only say so."""
    recipe = write_recipe(tmp_path / "tiny.py", tiny_config(**WHOLE_STEP))
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "folder"
    done = run_program(
        "-m", "codax", "compile", "--config", recipe, env=environment(JAX_COMPILATION_CACHE_DIR=str(cache))
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"codax: {cache}: compiled programs cannot be kept (Not a directory)\n"
    env = environment(CODAX_CACHE=str(cache))
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    code = "from codax.runtime.program import program\nwith program():\n    import jax; print(jax.jit(abs)(-1))"
    done = run_program("-c", code, env=env)
    assert done.stdout == "1\n" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith(": compiled programs are not kept (Not a directory)\n")
    done = run_program("-c", code, env={**env, "CODAX_CACHE": "~nobody-here/cache"})
    assert done.stdout == "1\n" and "not kept (~nobody-here/cache: there is no such home" in done.stderr, done.stderr


def test_a_recipe_that_starts_from_a_model_has_its_shapes(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.py", tiny_config(train__start_from=str(tmp_path / "no model")))
    done = run_program("-m", "codax", "compile", "--config", recipe, env=environment())
    assert done.returncode == 1 and done.stderr.startswith(f"codax: {tmp_path / 'no model'}: no such model folder")
