"""DAC's recipe in small: it learns, with entries learned by gradient, clips, and resumes exactly after a stop."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config, OptimizerConfig
from codax.config.recipe_files import load_recipe
from codax.training import optimizers
from codax.training.randomness import draw_levels
from codax.training.state import init_state, parameter_count
from codax.training.step import Phase, make_codebook_init, make_step
from tiny_run import ROOT, voices
from worker import dac_config

FULL = Phase(quantize=True, spectral=True, adversarial=True)


@pytest.fixture(scope="module")
def config() -> Config:
    config = dac_config()
    config.train.batch_size = 4
    config.loss.spectral, config.loss.feature, config.loss.adversarial = 15.0, 2.0, 0.05
    config.optimizer.learning_rate = 3e-3
    return config.validate()


def test_losses_fall(config: Config) -> None:
    batch = {"audio": voices(4, config.segment_samples)}
    state = jax.jit(lambda: init_state(config))()
    assert bool(state.codebook["quantizer"]["initialised"])
    started = jax.jit(make_codebook_init(config, None))(state, batch)[0]
    jax.tree.map(np.testing.assert_array_equal, started, state)  # there is no k-means
    before = np.asarray(state.generator["quantizer"]["embedding"])
    step = jax.jit(make_step(config, FULL, None))
    history = []
    for _ in range(60):
        state, metrics = step(state, batch)
        history.append({name: float(value) for name, value in metrics.items() if name.startswith("loss/")})
    assert int(state.bad_total) == 0
    assert np.abs(np.asarray(state.generator["quantizer"]["embedding"]) - before).max() > 0.01
    assert np.asarray(state.codebook["quantizer"]["count"]).sum() > 0
    names = ("spectral", "adversarial", "feature", "commitment", "codebook", "discriminator")
    assert {f"loss/{name}" for name in names} <= set(history[0])
    spectral, codebook = ([h[f"loss/{name}"] for h in history] for name in ("spectral", "codebook"))
    assert np.mean(spectral[-5:]) < 0.8 * np.mean(spectral[:5])
    # The latent starts near zero, within a unit of the entries, and grows; the entries follow it.
    assert np.mean(codebook[-5:]) < 2 * np.mean(codebook[:5])


def test_half_of_a_batch_draws_its_levels(config: Config) -> None:
    draws = np.stack([draw_levels(config, jnp.int32(step), 4, None) for step in range(40)])
    assert (draws[:, 2:] == 4).all() and set(np.unique(draws[:, :2])) == {1, 2, 3, 4}


def test_the_rate_decays_and_each_side_has_its_limit() -> None:
    options = OptimizerConfig(schedule="exponential", gamma=0.5, learning_rate=0.1)
    schedule = optimizers.learning_rate(options, 0.1, 100)
    np.testing.assert_allclose([schedule(i) for i in range(4)], [0.1, 0.05, 0.025, 0.0125], rtol=1e-6)
    config = dac_config()
    config.optimizer.clip_norm, config.optimizer.discriminator_clip_norm = 1e3, 10.0
    config.optimizer.beta1 = 0.0
    params = {"a": jnp.ones(4)}
    for optimizer, limit in zip(optimizers.make_optimizers(config), (1e3, 10.0), strict=True):
        _, after = optimizer.update({"a": jnp.full(4, 1e6)}, optimizer.init(params), params)
        first = next(s for s in jax.tree.leaves(after, is_leaf=lambda s: hasattr(s, "mu")) if hasattr(s, "mu"))
        np.testing.assert_allclose(jnp.linalg.norm(first.mu["a"]), limit, rtol=1e-5)


def test_the_full_recipe_has_the_sizes_of_the_package() -> None:
    state = jax.eval_shape(functools.partial(init_state, load_recipe(ROOT / "configs" / "dac_44khz.py")))
    assert parameter_count(state.generator) == 76_651_890
    assert parameter_count(state.discriminator) == 42_519_760


def test_muon_leaves_the_quantizer_to_adam(config: Config) -> None:
    params = jax.eval_shape(lambda: init_state(config)).generator
    kinds = optimizers.kernel_matrices(params)
    assert jax.tree.leaves(kinds["quantizer"]) == []
    assert kinds["encoder"]["stem"]["kernel_direction"].reduction_axis == (0, 1)
