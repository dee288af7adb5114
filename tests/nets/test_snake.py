"""The Snake activation: its sine is that of float64, and so is the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.snake import Snake, sine_squared


@pytest.mark.parametrize(("scale", "tolerance"), [(1e-3, 5e-7), (1.0, 5e-7), (300.0, 5e-7), (3e4, 3e-6)])
def test_sine_squared_and_its_gradient(scale: float, tolerance: float) -> None:
    x = (np.random.default_rng(0).uniform(-3, 3, 50_000) * scale).astype(np.float32)
    exact = x.astype(np.float64)
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(sine_squared)))(x)
    np.testing.assert_allclose(values, np.sin(exact) ** 2, rtol=1e-6, atol=tolerance)
    np.testing.assert_allclose(gradients, np.sin(2 * exact), rtol=1e-6, atol=2 * tolerance)


def test_zero_has_no_error_and_what_is_not_finite_stays_so() -> None:
    values = sine_squared(jnp.array([0.0, jnp.inf, jnp.nan]))
    assert values[0] == 0 and np.isnan(values[1:]).all()


def test_snake_of_each_channel() -> None:
    x = np.random.default_rng(1).standard_normal((2, 5, 3)).astype(np.float32)
    alpha = np.array([0.5, 1.0, 20.0], np.float32)
    for dtype, tolerance in ((jnp.float32, 1e-6), (jnp.bfloat16, 2e-2)):
        y = Snake().apply({"params": {"alpha": alpha}}, jnp.asarray(x, dtype))
        given = np.asarray(jnp.asarray(x, dtype), np.float64)
        assert y.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(y, np.float64), given + np.sin(alpha * given) ** 2 / alpha, atol=tolerance
        )
