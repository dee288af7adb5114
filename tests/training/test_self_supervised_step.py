"""A training step with a frozen teacher's features of the reconstruction as a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from codax.config import Config
from codax.teachers.open import open_differentiable
from codax.training.parallel import Parallel
from codax.training.state import init_state
from codax.training.step import Phase, make_codebook_init, make_step
from onnx_teacher import write_teacher
from tiny_run import WHOLE_STEP, end_of, metric_lines, tiny_config, train_here, voices, write_corpus

pytest.importorskip("onnx")

PHASE = Phase(quantize=True, spectral=True, adversarial=False)
NO_ADVERSARY = {"loss__adversarial": 0.0, "loss__feature": 0.0}


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return write_teacher(tmp_path / "teacher.onnx")


def self_supervised(teacher: Path, source: str = "none", **changes: Any) -> Config:
    """The codec has 8 kHz, the teacher 16 kHz."""
    return tiny_config(
        source, **WHOLE_STEP, **NO_ADVERSARY, loss__self_supervised=1.0, loss__self_supervised_teacher=str(teacher),
        **changes,
    )  # fmt: skip


def started(config: Config) -> Any:
    batch = {"audio": voices(8, config.segment_samples)}
    state = jax.jit(lambda: init_state(config))()
    return jax.device_get(jax.jit(make_codebook_init(config, None))(state, batch)[0]), batch


def assert_close(actual: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_loss_falls_with_its_gradient_alone(teacher: Path) -> None:
    config = self_supervised(teacher, loss__waveform=0.0, loss__spectral=0.0, optimizer__learning_rate=1e-2)
    (state, batch), frozen = started(config), open_differentiable(config)
    step, losses = jax.jit(make_step(config, PHASE, None)), []
    for _ in range(40):
        state, metrics = step(state, batch, frozen)
        losses.append(float(metrics["loss/self_supervised"]))
    assert losses[-1] < 0.8 * losses[0]
    assert metrics["bad_steps"] == 0


@pytest.mark.parametrize("balancer", [False, True])
def test_microbatches_and_devices_are_the_same(teacher: Path, balancer: bool) -> None:
    config = self_supervised(teacher, loss__balancer=balancer, optimizer__learning_rate=1e-6)
    (state, batch), frozen = started(config), open_differentiable(config)
    expected = jax.jit(make_step(config, PHASE, None))(state, batch, frozen)
    assert expected[1]["loss/self_supervised"] > 0
    if balancer:
        assert "self_supervised" in expected[0].balancer.norm
    for kind in ("shard_map", "pmap"):
        mapped = Parallel(kind)
        step = mapped.compile(make_step(config, PHASE, mapped.axis), frozen=1)
        placed = jax.device_put((state, frozen), mapped.state_sharding, may_alias=False)
        assert_close(step(placed[0], mapped.place(batch), placed[1]), expected)
    config.memory.accumulate = 4
    assert_close(jax.jit(make_step(config, PHASE, None))(state, batch, frozen), expected)


def test_a_bfloat16_step_has_a_float32_teacher(teacher: Path) -> None:
    config = self_supervised(teacher)
    (state, batch), frozen = started(config), open_differentiable(config)
    exact = jax.jit(make_step(config, PHASE, None))(state, batch, frozen)[1]
    config.train.compute_dtype = "bfloat16"
    rounded = jax.jit(make_step(config, PHASE, None))(state, batch, frozen)[1]
    assert rounded["loss/self_supervised"].dtype == np.float32
    np.testing.assert_allclose(rounded["loss/self_supervised"], exact["loss/self_supervised"], rtol=0.05)


def test_a_run_has_the_loss_and_its_checkpoints_not_the_teacher(teacher: Path, tmp_path: Path) -> None:
    config = self_supervised(teacher, str(write_corpus(tmp_path / "corpus")), train__steps=4, train__eval_every=4)
    train_here(config, tmp_path / "whole")
    logged = [line for line in metric_lines(tmp_path / "whole") if "loss/generator" in line]
    assert logged and all(line["loss/self_supervised"] > 0 for line in logged)
    train_here(config, tmp_path / "stopped", max_steps=2)
    train_here(config, tmp_path / "stopped")
    whole, resumed = (end_of(config, tmp_path / name) for name in ("whole", "stopped"))
    assert set(whole) == set(resumed)
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
