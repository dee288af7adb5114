"""A training step with a frozen teacher's features of the reconstruction as a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from codax.config import Config
from codax.planning.abstract_step import abstract_step
from codax.teachers.open import open_differentiable
from codax.training.parallel import Parallel
from codax.training.state import init_state
from codax.training.step import Phase, make_step
from onnx_teacher import write_teacher
from tiny_run import end_of, metric_lines, tiny_config, train_here, voices, write_corpus

pytest.importorskip("onnx")

# The loss takes the audio alone, whether it is quantized or not.
PHASE = Phase(quantize=False, spectral=False, adversarial=False)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return write_teacher(tmp_path / "teacher.onnx")


def self_supervised(teacher: Path, source: str = "none", **changes: Any) -> Config:
    """A codec of 8 kHz with a teacher of 16 kHz."""
    values = {"loss__adversarial": 0.0, "loss__feature": 0.0, "loss__self_supervised": 1.0}
    values |= {"loss__self_supervised_teacher": str(teacher), "loss__self_supervised_noise": 0.01}
    values |= {"model__channels": 2, "model__strides": (8,)}
    return tiny_config(source, **values | changes)


def started(config: Config) -> tuple[Any, dict[str, np.ndarray], Any]:
    state = jax.device_get(jax.jit(lambda: init_state(config))())
    return state, {"audio": voices(8, config.segment_samples)}, open_differentiable(config)


def assert_close(actual: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_loss_falls_with_its_gradient_alone(teacher: Path) -> None:
    config = self_supervised(teacher, loss__waveform=0.0, optimizer__learning_rate=1e-2)
    state, batch, frozen = started(config)
    step, losses = jax.jit(make_step(config, PHASE, None)), []
    for _ in range(40):
        state, metrics = step(state, batch, frozen)
        losses.append(float(metrics["loss/self_supervised"]))
    assert losses[-1] < 0.8 * losses[0]
    assert metrics["bad_steps"] == 0


def test_devices_and_microbatches_are_the_same(teacher: Path) -> None:
    config = self_supervised(teacher, loss__balancer=True, optimizer__learning_rate=1e-6)
    state, batch, frozen = started(config)
    config.memory.accumulate = 4
    expected = jax.jit(make_step(config, PHASE, None))(state, batch, frozen)
    config.memory.accumulate = 1
    assert expected[1]["loss/self_supervised"] > 0 and expected[0].balancer.norm["self_supervised"] > 0
    for kind in ("shard_map", "pmap"):
        mapped = Parallel(kind)
        step = mapped.compile(make_step(config, PHASE, mapped.axis), frozen=1)
        placed = jax.device_put((state, frozen), mapped.state_sharding, may_alias=False)
        assert_close(step(placed[0], mapped.place(batch), placed[1]), expected)


def test_a_bfloat16_step_has_a_float32_teacher(teacher: Path) -> None:
    config, types = self_supervised(teacher, train__compute_dtype="bfloat16"), []
    state, batch, frozen = started(config)

    def observed(audio: jax.Array) -> Any:
        types.append(audio.dtype)
        return frozen(audio)

    metrics = jax.eval_shape(make_step(config, PHASE, None), state, batch, jax.tree_util.Partial(observed))[1]
    assert metrics["loss/self_supervised"].dtype == np.float32
    assert types == [np.float32, np.float32]


def test_a_run_resumes_bit_for_bit(teacher: Path, tmp_path: Path) -> None:
    source = str(write_corpus(tmp_path / "corpus"))
    config = self_supervised(teacher, source, quantizer__start_step=10, train__steps=4, loss__spectral=0.0)
    train_here(config, tmp_path / "whole")
    logged = [line for line in metric_lines(tmp_path / "whole") if "loss/generator" in line]
    assert logged and all(line["loss/self_supervised"] > 0 for line in logged)
    train_here(config, tmp_path / "stopped", max_steps=2)
    train_here(config, tmp_path / "stopped")
    whole, resumed = (end_of(config, tmp_path / name) for name in ("whole", "stopped"))
    assert set(whole) == set(resumed)
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_the_step_can_be_planned(teacher: Path) -> None:
    mapped = Parallel(devices=jax.devices()[:2])
    planned = abstract_step(self_supervised(teacher), mapped, per_device=4)
    (program,) = planned.programs
    assert {x.shape for x in jax.tree.leaves(program.arguments)} >= {(6, 8, 8), (8, 1, 40)}
    _, metrics = program.function.eval_shape(*program.arguments)
    assert metrics["loss/self_supervised"].shape == ()
