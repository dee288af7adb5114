"""Optimisers: Adam everywhere, or Muon for the generator's kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from codax.config import OptimizerConfig
from codax.training import optimizers
from tiny_run import tiny_config


def _first_update(kind, params, gradients):
    config = OptimizerConfig(kind=kind, learning_rate=0.01, beta1=0.8, beta2=0.99)
    optimizer = optimizers.make_optimizer(config, config.learning_rate, 10)
    return optimizer.update(gradients, optimizer.init(params), params)[0]


def _random(seed):
    keys = jax.random.split(jax.random.key(seed))
    return {"kernel": jax.random.normal(keys[0], (3, 8, 16)), "bias": jax.random.normal(keys[1], (16,))}


def test_muon_makes_the_update_of_a_kernel_nearly_orthogonal():
    params, gradients = _random(0), _random(1)
    gradients["kernel"] = gradients["kernel"] * jnp.logspace(-1, 1, 16)  # singular values spread over two decades
    before = np.linalg.svd(np.reshape(gradients["kernel"], (24, 16)), compute_uv=False)
    update = np.asarray(_first_update("muon", params, gradients)["kernel"])
    after = np.linalg.svd(update.reshape(24, 16), compute_uv=False)
    assert before[0] / before[-1] > 50
    assert after[0] / after[-1] < 2
    # Scaled to the usual RMS of an Adam update, 0.2 of the learning rate, against the gradient. An orthogonal matrix
    # of 24 x 16 has an RMS of 1 / sqrt(24), and Newton-Schulz's singular values lie about 1, not at 1.
    np.testing.assert_allclose(np.sqrt(np.mean(update**2)), 0.2 * 0.01, rtol=0.3)
    assert np.sum(update * np.asarray(gradients["kernel"])) < 0


def test_muon_leaves_other_parameters_to_adam():
    params, gradients = _random(0), _random(1)
    muon = _first_update("muon", params, gradients)
    adam = optax.nadam(0.01, 0.8, 0.99)  # Optax's Muon takes Nesterov's momentum for both
    expected = adam.update(gradients, adam.init(params), params)[0]
    np.testing.assert_allclose(muon["bias"], expected["bias"], rtol=1e-5)
    assert np.abs(np.asarray(muon["kernel"] - expected["kernel"])).max() > 1e-3


def test_discriminators_have_adam_whatever_the_generator_has():
    config = tiny_config()
    structures = []
    for kind in ("adam", "muon"):
        config.optimizer.kind = kind
        generator, discriminator = optimizers.make_optimizers(config)
        params = {"layer": _random(0)}
        structures.append([jax.tree.structure(o.init(params)) for o in (generator, discriminator)])
    assert structures[0][1] == structures[1][1]
    assert structures[0][0] != structures[1][0]


@pytest.mark.parametrize(("drawn", "probability", "updates"), [(0, 1.0, 90), (1, 1.0, 30), (2, 0.5, 30)])
def test_the_schedule_of_a_discriminator_ends_with_the_run(drawn, probability, updates, monkeypatch):
    config, lengths = tiny_config(), []
    config.train.steps, config.discriminator.start_step, config.discriminator.every = 100, 10, 1
    config.discriminator.stft, config.discriminator.wave_scales = False, 0
    config.discriminator.msstft_windows = (64, 32, 16)
    config.discriminator.drawn, config.discriminator.update_probability = drawn, probability
    monkeypatch.setattr(optimizers, "make_optimizer", lambda config, rate, steps: lengths.append(steps))
    optimizers.make_optimizers(config)
    assert lengths == [100, updates]


def test_muon_finds_a_minimum():
    target, params = _random(2), _random(0)

    def loss(p):
        return sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(target), strict=True))

    config = OptimizerConfig(kind="muon", learning_rate=0.3, schedule="cosine")
    optimizer = optimizers.make_optimizer(config, config.learning_rate, 200)
    state, start = optimizer.init(params), loss(params)

    @jax.jit
    def step(p, s):
        updates, s = optimizer.update(jax.grad(loss)(p), s, p)
        return optax.apply_updates(p, updates), s

    for _ in range(200):
        params, state = step(params, state)
    assert loss(params) < 1e-3 * start


def test_transformers_alone_decay_and_get_muon() -> None:
    params = {
        "encoder": {
            "transformer": {"layer0": {"dense1": {"kernel": jnp.ones((4, 8))}}},
            "stem": {"kernel": jnp.ones((3, 1, 4))},
        },
        "transform": {"kernel": jnp.ones((4, 8))},
    }
    zeros = jax.tree.map(jnp.zeros_like, params)
    for kind in ("adam", "muon"):
        config = OptimizerConfig(kind=kind, learning_rate=0.1, weight_decay=0.5, decay_transformers_only=True)
        optimizer = optimizers.make_optimizer(config, 0.1, 10)
        moved = optimizer.update(zeros, optimizer.init(params), params)[0]
        np.testing.assert_allclose(moved["encoder"]["transformer"]["layer0"]["dense1"]["kernel"], -0.05, rtol=1e-5)
        assert not np.any(moved["encoder"]["stem"]["kernel"]) and not np.any(moved["transform"]["kernel"])
    kinds = optimizers.kernel_matrices(params)
    assert kinds["encoder"]["transformer"]["layer0"]["dense1"]["kernel"].reduction_axis == (0,)
    assert kinds["encoder"]["stem"]["kernel"].reduction_axis == (0, 1)
    assert kinds["transform"]["kernel"] is None
