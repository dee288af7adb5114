"""Gradients through the choice of an entry, against the papers' formulas written out as matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.quantizers.gradients import GRADIENTS, rotation, straight_through

X, Q, G = (jax.random.normal(jax.random.key(i), (20, 5)) * scale for i, scale in enumerate((1.0, 3.0, 1.0)))


def negative_slope(gradient, x, quantized, pull):
    return jax.grad(lambda x: jnp.sum(gradient(x, quantized) * pull))(x)


def matrix(x, q):
    """Equation 4 of arXiv 2410.06424 and the ratio of lengths, float64 [dimension, dimension]."""
    x, q = np.asarray(x, np.float64), np.asarray(q, np.float64)
    a, b = x / np.linalg.norm(x), q / np.linalg.norm(q)
    r = (a + b) / np.linalg.norm(a + b)
    turn = np.eye(len(x)) - 2 * np.outer(r, r) + 2 * np.outer(b, a)
    np.testing.assert_allclose(turn @ turn.T, np.eye(len(x)), atol=1e-12)
    return np.linalg.norm(q) / np.linalg.norm(x) * turn


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_value_is_the_quantized_vector(name):
    np.testing.assert_allclose(GRADIENTS[name](X, Q), Q, rtol=1e-6, atol=1e-6)


def test_straight_through_is_the_identity():
    np.testing.assert_array_equal(negative_slope(straight_through, X, Q, G), G)


def test_rotation_is_the_papers_matrix_held_constant():
    got = negative_slope(rotation, X, Q, G)
    for x, q, g, actual in zip(*(np.asarray(v, np.float64) for v in (X, Q, G, got)), strict=True):
        turn = matrix(x, q)
        np.testing.assert_allclose(turn @ x, q, rtol=1e-5)
        np.testing.assert_allclose(actual, turn.T @ g, rtol=1e-4, atol=1e-5)
        # Numerically: the matrix stays, the input moves.
        moved = [(g @ turn @ (x + d) - g @ turn @ (x - d)) / 2e-3 for d in 1e-3 * np.eye(len(x))]
        np.testing.assert_allclose(actual, moved, rtol=1e-4, atol=1e-5)


def test_rotation_keeps_the_angle_between_gradient_and_vector():
    got = negative_slope(rotation, X, Q, G)

    def cosine(a, b):
        return np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)

    np.testing.assert_allclose(cosine(got, X), cosine(G, Q), atol=1e-5)
    lengths = [np.linalg.norm(v, axis=-1) for v in (got, G, Q, X)]
    np.testing.assert_allclose(lengths[0], lengths[1] * lengths[2] / lengths[3], rtol=1e-4)


def test_rotation_goes_straight_through_where_it_is_not_defined():
    x = jnp.asarray([[0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [1e-30, 0.0]])
    q = jnp.asarray([[1.0, 1.0], [0.0, 0.0], [-2.0, -4.0], [0.0, 1.0]])
    pull = jnp.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(negative_slope(rotation, x, q, pull), pull)
    np.testing.assert_allclose(rotation(x, q), q, atol=1e-6)


def test_no_gradient_reaches_the_entries():
    for gradient in GRADIENTS.values():
        np.testing.assert_array_equal(jax.grad(lambda q, f=gradient: jnp.sum(f(X, q) * G))(Q), np.zeros(Q.shape))
