"""A batch in pieces has the means and gradients of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.codec.microbatches import join, mean_and_joined, mean_value_and_grad, split

X = jnp.asarray(np.random.default_rng(0).standard_normal((6, 3)), jnp.float32)
Y = jnp.asarray(np.random.default_rng(1).standard_normal((6, 2)), jnp.float32)
W = {"w": jnp.asarray(np.random.default_rng(2).standard_normal((3, 2)), jnp.float32)}


def loss(params, x, y):
    error = x @ params["w"] - y
    return jnp.mean(error**2), {"largest": jnp.mean(jnp.max(error, axis=-1))}


def by_example(x, y):
    value, negative_slope = jax.value_and_grad(lambda x: loss(W, x, y)[0])(x)
    return {"loss": value}, {"x": negative_slope}


def assert_close(actual, expected) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), actual, expected)


def test_pieces_keep_the_order_of_the_batch() -> None:
    pieces = split({"x": X, "none": None}, 3)
    np.testing.assert_array_equal(pieces["x"][1], X[2:4])
    np.testing.assert_array_equal(join(pieces)["x"], X)
    with pytest.raises(TypeError):
        split(X, 4)


@pytest.mark.parametrize("count", [2, 6])
def test_gradients_of_parameters_are_averaged(count: int) -> None:
    expected = jax.value_and_grad(loss, has_aux=True)(W, X, Y)
    assert_close(jax.jit(mean_value_and_grad(loss, count, has_aux=True))(W, X, Y), expected)


@pytest.mark.parametrize("count", [2, 6])
def test_gradients_by_example_are_those_of_the_mean_of_all(count: int) -> None:
    assert_close(jax.jit(mean_and_joined(by_example, count))(X, Y), by_example(X, Y))
