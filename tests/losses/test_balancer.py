"""The balancer: shares of the gradient, whatever the scale of a loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.losses.balancer import balance, init_balancer, item_norm

WEIGHTS = {"waveform": 0.1, "spectral": 1.0, "feature": 3.0}


def gradients(seed=0, batch=4):
    keys = jax.random.split(jax.random.key(seed), len(WEIGHTS))
    return {
        n: jax.random.normal(k, (batch, 50, 1)) * 10.0**i for i, (n, k) in enumerate(zip(WEIGHTS, keys, strict=True))
    }


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_scaling_one_loss_changes_nothing(name):
    state, scaled_state = init_balancer(tuple(WEIGHTS)), init_balancer(tuple(WEIGHTS))
    for seed in range(3):
        plain = gradients(seed)
        scaled = plain | {name: 1000 * plain[name]}
        a, state = balance(plain, WEIGHTS, state, decay=0.9)
        b, scaled_state = balance(scaled, WEIGHTS, scaled_state, decay=0.9)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_two_steps_by_hand():
    # One item, two losses with gradients of norm 2 and 8, then 4 and 8; decay 0.5.
    weights = {"a": 1.0, "b": 3.0}
    state = init_balancer(("a", "b"))
    first = {"a": jnp.array([[[2.0], [0.0]]]), "b": jnp.array([[[0.0], [8.0]]])}
    out, state = balance(first, weights, state, decay=0.5)
    np.testing.assert_allclose(out[0, :, 0], [0.25, 0.75], rtol=1e-6)
    second = {"a": jnp.array([[[4.0], [0.0]]]), "b": jnp.array([[[0.0], [8.0]]])}
    out, state = balance(second, weights, state, decay=0.5)
    average = (0.5 * 2 + 4) / 1.5
    np.testing.assert_allclose(out[0, :, 0], [0.25 * 4 / average, 0.75], rtol=1e-6)


def test_a_loss_that_is_absent_keeps_its_average_and_gives_up_its_share():
    state = init_balancer(tuple(WEIGHTS))
    _, state = balance(gradients(), WEIGHTS, state, decay=0.9)
    some = {n: g for n, g in gradients(1).items() if n != "feature"}
    out, after = balance(some, WEIGHTS, state, decay=0.9)
    assert after.norm["feature"] == state.norm["feature"]
    assert after.weight["feature"] == state.weight["feature"]
    fresh, _ = balance(some, WEIGHTS, init_balancer(tuple(WEIGHTS)), decay=0.9)
    assert 0.5 < float(item_norm(out) / item_norm(fresh)) < 2


def test_replicas_give_the_sum_over_all_items():
    names = tuple(WEIGHTS)
    whole, state = balance(gradients(), WEIGHTS, init_balancer(names), decay=0.9)
    # Two replicas hold half of the batch each; the mean of a shard's loss has twice the gradient.
    halves = jax.tree.map(lambda g: 2 * g.reshape(2, 2, *g.shape[1:]), gradients())

    def shard(g):
        return balance(g, WEIGHTS, init_balancer(names), decay=0.9, axis="data")

    parts, states = jax.vmap(shard, axis_name="data")(halves)
    np.testing.assert_allclose(parts.reshape(whole.shape) / 2, whole, rtol=1e-5)
    np.testing.assert_allclose(states.weight["spectral"], 1.0)
    np.testing.assert_allclose(states.norm["spectral"], np.repeat(state.norm["spectral"], 2), rtol=1e-5)
