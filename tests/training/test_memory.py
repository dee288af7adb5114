"""Options that spend time for memory leave the numbers as they are."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from codax.config import Config, ConfigError
from codax.errors import CodaxError
from codax.training.parallel import Parallel
from codax.training.state import TrainState, init_state
from codax.training.step import Phase, make_codebook_init, make_step
from tiny_run import tiny_config, voices
from worker import mimi_config, step_config

FULL = Phase(quantize=True, spectral=True, adversarial=True)
EXAMPLES = 8


def whole_step() -> Config:
    """Updates are small: Adam's first one makes a step of full size even of a gradient that is rounding alone."""
    config = step_config()
    config.optimizer.learning_rate = config.optimizer.discriminator_learning_rate = 1e-8
    config.train.batch_size = EXAMPLES
    return config


def soundstream() -> Config:
    """With FiLM, whose condition goes through the networks beside the audio."""
    config = whole_step()
    config.model.film, config.data.noise_source = "decoder", "starter-noise"
    return config.validate()


def encodec() -> Config:
    """With a balancer, whose norms are of the whole batch, and the form of the feature loss that is a mean."""
    config = whole_step()
    config.model = config.model.of_class("encodec")
    config.loss.balancer, config.loss.spectral_form = True, "encodec"
    return config.validate()


def mimi() -> Config:
    config, whole = mimi_config(), whole_step()
    config.optimizer, config.train = whole.optimizer, whole.train
    return config.validate()


RECIPES = {"soundstream": soundstream, "encodec": encodec, "mimi": mimi}


def batch_of(config: Config) -> dict[str, np.ndarray]:
    batch = {"audio": voices(EXAMPLES, config.segment_samples)}
    if config.data.noise_source:
        batch["clean"] = batch["audio"] * 0.9
    return batch


def run(config: Config, start: TrainState) -> tuple[dict[str, Any], int]:
    """What one step makes of a state (gradients show in the optimisers' momenta), and its bytes of temporaries."""
    batch = batch_of(config)
    step: Any = jax.jit(make_step(config, FULL, None)).lower(start, batch).compile()
    state, metrics = step(start, batch)
    assert metrics["bad_steps"] == 0
    momenta = {name: getattr(state, f"{name}_optimizer")[0].mu for name in ("generator", "discriminator")}
    results = momenta | {"codebook": state.codebook, "balancer": state.balancer} | metrics
    return results, step.memory_analysis().temp_size_in_bytes


@functools.cache
def plain(name: str) -> tuple[TrainState, dict[str, Any], int]:
    """The state that a recipe starts from, and what `run` gives without any of the options."""
    config = RECIPES[name]()
    state = jax.jit(lambda: init_state(config))()
    state = jax.jit(make_codebook_init(config, None))(state, batch_of(config))[0]
    return state, *run(config, state)


def assert_close(actual: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-5) -> None:
    assert set(actual) == set(expected)
    for name, tree in expected.items():
        a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)] + [np.zeros(1)]) for t in (actual[name], tree))
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b), name


@pytest.mark.parametrize(
    ("name", "remat", "accumulate"),
    [
        ("soundstream", "nets", 1),
        ("soundstream", "blocks", 2),
        ("encodec", "none", EXAMPLES),
        ("mimi", "blocks", 1),
    ],
)
def test_a_step_is_the_same(name: str, remat: str, accumulate: int) -> None:
    start, expected, memory = plain(name)
    config = RECIPES[name]()
    config.memory.remat, config.memory.accumulate = remat, accumulate
    actual, less = run(config, start)
    assert_close(actual, expected)
    if accumulate == EXAMPLES:
        assert less < 0.5 * memory


def test_codebooks_start_from_the_whole_batch() -> None:
    config = soundstream()
    batch = batch_of(config)
    fresh = jax.jit(lambda: init_state(config))()
    expected = jax.jit(make_codebook_init(config, None))(fresh, batch)[0]
    config.memory.accumulate = 4
    actual = jax.jit(make_codebook_init(config, None))(fresh, batch)[0]
    assert_close(actual.codebook, expected.codebook)


def test_pieces_that_cannot_be_are_refused() -> None:
    config = tiny_config(train__batch_size=8)
    config.memory.accumulate = 3
    with pytest.raises(ConfigError, match=r"memory\.accumulate = 3: must be a divisor of train\.batch_size = 8"):
        config.validate()
    config.memory.accumulate, config.memory.remat = 1, "layers"
    with pytest.raises(ConfigError, match=r"memory\.remat = 'layers': must be none, blocks or nets"):
        config.validate()
    with pytest.raises(CodaxError, match=r"memory\.accumulate = 16: must divide the 8 examples of each device"):
        Parallel().local_batch(8 * Parallel().devices, 16)
