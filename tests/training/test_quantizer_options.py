"""Training with every option of the quantizer: it lasts, it learns, a stop changes nothing."""

from __future__ import annotations

from pathlib import Path

import codax
import jax
import numpy as np
import pytest
from codax.training import state as st
from codax.training.step import Phase, make_codebook_init, make_step
from tiny_run import WHOLE_STEP, metric_lines, tiny_config, train_here, voices, write_corpus
from worker import dac_config, with_option

OPTIONS = ("normalised", "rotation", "fsq")  # average: test_train_command.py; factorised: test_dac_step.py
STEPS = 200


@pytest.mark.parametrize("option", OPTIONS)
def test_two_hundred_steps(option: str) -> None:
    """Losses fall, all values stay finite, and levels keep using their entries."""
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
    assert coverage.shape == (4,) and coverage.min() > 0.1


@pytest.mark.parametrize(
    "option", ["normalised", "fsq", "dac", pytest.param("dac with discriminators", marks=pytest.mark.nightly)]
)
def test_a_stopped_run_goes_on_bit_for_bit(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DAC's recipe, which has factorised codes, with the rotation trick; the others without discriminators."""
    if option.startswith("dac"):
        config = dac_config()
        config.quantizer.gradient = "rotation"
        if option == "dac":
            config.loss.adversarial = config.loss.feature = 0.0
    else:
        changes = WHOLE_STEP | {"quantizer__start_step": 1, "quantizer__kbps": ()}
        config = with_option(tiny_config(**changes, loss__adversarial=0.0, loss__feature=0.0), option)
    config.data.source = str(write_corpus(tmp_path / "corpus"))
    config.train.steps, config.train.batch_size, config.train.eval_every = 4, 4, 4
    config.train.eval_batches = config.train.sample_files = 0
    config.validate()
    train_here(config, tmp_path / "one")
    train_here(config, tmp_path / "two", max_steps=2)
    assert not (tmp_path / "two" / "export").exists()
    train_here(config, tmp_path / "two")
    messages = capsys.readouterr().out
    assert "stopped at step 2;" in messages and messages.count("resuming from the checkpoint of step 2") == 1
    assert metric_lines(tmp_path / "one") == metric_lines(tmp_path / "two")
    codecs = [codax.load(tmp_path / name / "export") for name in ("one", "two")]
    assert codecs[0].hash == codecs[1].hash and codecs[0].usage().sum() > 0
