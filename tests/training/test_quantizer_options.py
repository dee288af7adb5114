"""Training with every option of the quantizer: it lasts, it learns, devices do not matter, a stop changes nothing."""

from __future__ import annotations

from pathlib import Path

import codax
import jax
import numpy as np
import pytest
from codax.training import state as st
from codax.training.step import Phase, make_codebook_init, make_step
from test_parallel import assert_close, on_devices
from tiny_run import WHOLE_STEP, WORKER, environment, metric_lines, run_program, tiny_config, voices, write_corpus
from worker import dac_config, with_option

OPTIONS = ("average", "normalised", "rotation", "factorised", "factorised_rotation", "fsq")
MOST_DIFFERENT = ("normalised", "factorised_rotation", "fsq")  # the plain ones are in other files
STEPS = 200


@pytest.mark.parametrize("option", OPTIONS)
def test_two_hundred_steps(option: str) -> None:
    """Losses fall, nothing is ever not finite, and levels go on using their entries.

    Nothing revives factorised ones: so small a codec may keep a single entry of a level.
    """
    config = tiny_config(train__batch_size=4, quantizer__kbps=(), quantizer__dead_threshold=0.05)
    config = with_option(config, option)
    state = jax.jit(lambda: st.init_state(config))()
    first = {"audio": voices(4, config.segment_samples)}
    state, _ = jax.jit(make_codebook_init(config, None))(state, first)
    assert bool(state.codebook["quantizer"]["initialised"])
    step = jax.jit(make_step(config, Phase(quantize=True, spectral=True, adversarial=False), None), donate_argnums=0)
    history = []
    for i in range(STEPS):
        state, metrics = step(state, {"audio": voices(4, config.segment_samples, seed=i % 5)})
        history.append(jax.device_get(metrics))
    assert int(state.bad_total) == 0 and int(state.step) == STEPS
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state)))
    losses = [float(metrics["loss/spectral"]) for metrics in history]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    coverage = np.nanmean([metrics["codebook/coverage"] for metrics in history[-20:]], axis=0)
    assert coverage.shape == (4,) and coverage.min() > (0.1 if config.quantizer.kind != "factorised" else 0.0)


@pytest.mark.parametrize("option", MOST_DIFFERENT)
def test_eight_devices_equal_one(option: str, tmp_path: Path) -> None:
    results = on_devices(option, tmp_path / "cache", tmp_path, 8)
    assert results["jit"]["state.codebook['quantizer']['count']"].sum() > 0
    assert results["jit"]["state.bad_total"] == 0
    assert_close(results["shard_map"], results["jit"])


@pytest.mark.parametrize("option", ["normalised", "fsq", "dac"])
def test_a_stopped_run_goes_on_bit_for_bit(option: str, tmp_path: Path) -> None:
    """DAC's recipe, which has factorised codes, with its discriminators and the rotation trick; the others without."""
    if option == "dac":
        config = dac_config()
        config.quantizer.gradient = "rotation"
    else:
        changes = WHOLE_STEP | {"quantizer__start_step": 1, "quantizer__kbps": ()}
        config = with_option(tiny_config(**changes, loss__adversarial=0.0, loss__feature=0.0), option)
    config.data.source = str(write_corpus(tmp_path / "corpus"))
    config.train.steps, config.train.batch_size, config.train.eval_every = 4, 4, 4
    config.train.eval_batches = config.train.sample_files = 0
    recipe = tmp_path / "recipe.json"
    recipe.write_text(config.validate().to_json())
    env = environment(tmp_path / "cache")
    for name, stop in (("two", 1), ("two", -1), ("one", -1)):
        done = run_program(WORKER, "train", recipe, tmp_path / name, stop, "SIGTERM", env=env)
        assert done.returncode == 0, done.stderr
        assert ("stopped on request at step 2" in done.stdout) == (stop == 1)
        assert ("resuming from the checkpoint of step 2" in done.stdout) == (name == "two" and stop == -1)
    assert metric_lines(tmp_path / "one") == metric_lines(tmp_path / "two")
    codecs = [codax.load(tmp_path / name / "export") for name in ("one", "two")]
    assert codecs[0].hash == codecs[1].hash and codecs[0].usage().sum() > 0
