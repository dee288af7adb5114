"""What one step does, and what it must leave alone."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.training.state import TrainState, init_state
from codax.training.step import Phase, make_codebook_init, make_step, phase_at
from tiny_run import WHOLE_STEP, tiny_config, voices

FULL = Phase(quantize=True, spectral=True, adversarial=True)

# Compiling costs more than running here.


def one_step(config: Config, phase: Phase) -> Any:
    return jax.jit(make_step(config, phase, None))


@pytest.fixture(scope="module")
def config() -> Config:
    return tiny_config(**WHOLE_STEP, train__batch_size=4)


@pytest.fixture(scope="module")
def batch(config: Config) -> dict[str, np.ndarray]:
    return {"audio": voices(4, config.segment_samples)}


@pytest.fixture(scope="module")
def state(config: Config, batch: dict[str, np.ndarray]) -> TrainState:
    """A state with started codebooks."""
    fresh = jax.jit(lambda: init_state(config))()
    return jax.jit(make_codebook_init(config, None))(fresh, batch)[0]


@pytest.fixture(scope="module")
def full_step(config: Config) -> Any:
    return one_step(config, FULL)


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def differs(a: Any, b: Any) -> bool:
    return any(bool(np.any(np.asarray(x) != np.asarray(y))) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_phases_follow_from_the_step_number() -> None:
    config = tiny_config()  # quantizer from step 2, discriminators from step 4 at every second step
    config.loss.spectral_start_step = 3
    phases = [phase_at(config, step) for step in range(7)]
    assert [phase.spectral for phase in phases] == [False, False, False, True, True, True, True]
    assert [phase.quantize for phase in phases] == [False, False, True, True, True, True, True]
    assert [phase.adversarial for phase in phases] == [False, False, False, False, True, False, True]
    config.loss.adversarial = config.loss.feature = 0.0
    assert not phase_at(config, 4).adversarial


def test_a_step_moves_every_part_of_the_state(state: TrainState, batch: dict, full_step: Any) -> None:
    after, _ = full_step(state, batch)
    assert int(after.step) == 1 and int(after.bad_total) == 0
    for part in ("generator", "discriminator", "codebook", "average", "generator_optimizer", "discriminator_optimizer"):
        assert differs(getattr(after, part), getattr(state, part)), part


def test_a_nan_batch_leaves_the_state_alone_and_is_counted(state: TrainState, batch: dict, full_step: Any) -> None:
    bad = {"audio": batch["audio"].copy()}
    bad["audio"][2, 100] = np.nan
    after, metrics = full_step(state, bad)
    assert_same(after.replace(step=state.step, bad_steps=state.bad_steps, bad_total=state.bad_total), state)
    assert (int(after.step), int(after.bad_steps), int(after.bad_total)) == (1, 1, 1)
    after, metrics = full_step(after, bad)
    assert (int(metrics["bad_steps"]), int(metrics["bad_total"])) == (2, 2)
    after, metrics = full_step(after, batch)
    assert (int(metrics["bad_steps"]), int(metrics["bad_total"])) == (0, 2)
    assert differs(after.generator, state.generator)


def test_generator_and_discriminator_gradients_do_not_mix(
    config: Config, state: TrainState, batch: dict, full_step: Any
) -> None:
    after, _ = full_step(state, batch)
    # The discriminators' update does not depend on what the generator is trained for.
    other = tiny_config(**WHOLE_STEP, train__batch_size=4)
    other.loss.waveform, other.loss.adversarial, other.loss.feature = 50.0, 1e-30, 1e-30
    apart, _ = one_step(other, FULL)(state, batch)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), apart.discriminator, after.discriminator)
    assert differs(apart.generator, after.generator)
    # Without weight on the adversary, the generator's update is what it is without discriminators.
    alone, _ = one_step(other, Phase(quantize=True, spectral=True, adversarial=False))(state, batch)
    assert_same(alone.discriminator, state.discriminator)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), alone.generator, apart.generator)


def test_without_quantization_the_codebooks_stay_as_they_are(config: Config, state: TrainState, batch: dict) -> None:
    after, metrics = one_step(config, Phase(quantize=False, spectral=False, adversarial=False))(state, batch)
    assert_same(after.codebook, state.codebook)
    assert differs(after.generator, state.generator)
    assert "loss/commitment" not in metrics and "loss/spectral" not in metrics
    assert not any(name.startswith("codebook/") for name in metrics)


def test_bfloat16_computes_and_keeps_its_state_in_float32(batch: dict) -> None:
    config = tiny_config(
        quantizer__start_step=0,
        discriminator__start_step=0,
        train__batch_size=4,
        train__compute_dtype="bfloat16",
    )
    state = jax.jit(lambda: init_state(config))()
    state, _ = jax.jit(make_codebook_init(config, None))(state, batch)
    step = make_step(config, FULL, None)
    program = str(jax.make_jaxpr(step)(state, batch))
    assert "bf16" in program
    after, metrics = jax.jit(step)(state, batch)
    allowed = {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32), jnp.dtype(jnp.bool_)}
    assert {leaf.dtype for leaf in jax.tree.leaves(after)} <= allowed
    assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} <= allowed
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert int(after.bad_total) == 0 and differs(after.generator, state.generator)
