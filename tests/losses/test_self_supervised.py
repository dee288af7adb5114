"""The distance of a teacher's features of the reconstruction from those of the original."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.losses.self_supervised import distance
from codax.losses.terms import TERMS

A = np.array([[[1.0, -3.0], [2.0, 2.0]], [[0.0, 4.0], [0.0, 4.0]]], np.float32)
B = np.array([[[1.0, -1.0], [2.0, 4.0]], [[0.0, 4.0], [4.0, 0.0]]], np.float32)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("l1", (4 / 8 + 8 / 8) / 2),
        ("l2", (8 / 18 + 32 / 32) / 2),
        ("cosine", 1 - (4 / np.sqrt(10 * 2) + 12 / np.sqrt(8 * 20) + 1 + 0) / 4),
    ],
)
def test_by_hand(form: str, expected: float) -> None:
    np.testing.assert_allclose(distance([A], [B], form), expected, rtol=1e-6)
    # It does not depend on the size of the features, and layers count alike.
    np.testing.assert_allclose(distance([10 * A], [10 * B], form), expected, rtol=1e-6)
    np.testing.assert_allclose(distance([A, A], [B, A], form), expected / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", ["l1", "l2", "cosine"])
def test_the_original_gets_no_gradient(form: str) -> None:
    to_a, to_b = jax.grad(lambda a, b: distance([a], [b], form), argnums=(0, 1))(A, B)
    assert not np.any(to_a) and np.any(to_b)
    zeros = jnp.zeros_like(A)
    value, gradient = jax.value_and_grad(lambda b: distance([zeros], [b], form))(zeros)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_term() -> None:
    config, audio = Config(), jnp.ones((2, 8, 1))
    inputs = {"target": audio, "estimate": 2 * audio, "key": jax.random.key(0), "teacher": lambda x: [x, x**2]}
    np.testing.assert_allclose(TERMS["self_supervised"](config, inputs), (1 + 3) / 2)
    assert TERMS["self_supervised"].on_reconstruction


def test_noise_is_added_to_both_signals_and_is_the_same_for_every_example() -> None:
    config, signals = Config(), []
    config.loss.self_supervised_noise = 0.1
    target, estimate = np.zeros((2, 4000, 1), np.float32), jnp.ones((2, 4000, 1), jnp.bfloat16)
    inputs = {"target": target, "estimate": estimate, "key": jax.random.key(0)}
    TERMS["self_supervised"](config, inputs | {"teacher": lambda x: signals.append(x) or [x]})
    noise = np.asarray(signals[0])
    np.testing.assert_array_equal(noise[0], noise[1])
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.05)
    np.testing.assert_allclose(signals[1] - 1, noise, atol=1e-6)
