"""A user's own training step, with JAX and Optax alone, around a codec that was loaded."""

from __future__ import annotations

import codax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest


@pytest.fixture(scope="module")
def codec() -> codax.Codec:
    return codax.load("soundstream-speech")


def test_a_jitted_step_over_the_parameters_lowers_the_loss(codec: codax.Codec) -> None:
    rate = codec.config.model.sample_rate
    time = np.arange(20 * codec.config.hop) / rate
    audio = jnp.asarray(0.3 * np.sin(2 * np.pi * 200 * (1 + time) * time)[None, :, None], jnp.float32)
    before = codec.encode(audio).codes  # coding first changes nothing for training
    optimizer, levels, key = optax.adam(1e-5), jnp.array([codec.config.quantizer.num_quantizers]), jax.random.key(0)

    def loss_of(params):
        variables = {"params": params, "codebook": codec.codebook}
        output = codec.module.apply(variables, audio, levels=levels, key=key)
        return jnp.mean((output.audio - audio) ** 2) + 0.01 * output.commitment

    @jax.jit
    def step(params, state):
        loss, gradients = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    params, state, losses = codec.params, optimizer.init(codec.params), []
    for _ in range(6):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0], losses
    tuned = codax.Codec(codec.config, params, codec.codebook)
    assert tuned.hash != codec.hash
    np.testing.assert_array_equal(codec.encode(audio).codes, before)


def test_the_arrays_can_be_read_within_a_jitted_function(codec: codax.Codec) -> None:
    size = jax.jit(lambda x: x + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(codec.params)))(0.0)
    assert np.isfinite(size) and size > 0
