"""Adversarial losses by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from codax.losses.adversarial import discriminator, feature_l1, generator

REAL = [
    (jnp.array([[2.0, 0.5]]), [jnp.array([[1.0, 2.0]]), jnp.array([[0.0]])]),
    (jnp.array([[-1.0]]), [jnp.ones((1, 1))]),
]
FAKE = [
    (jnp.array([[-2.0, 0.0]]), [jnp.array([[0.0, 4.0]]), jnp.array([[1.0]])]),
    (jnp.array([[0.5]]), [jnp.zeros((1, 1))]),
]


def test_discriminator():
    # First: mean(0, 0.5) + mean(0, 1) = 0.75; second: 2 + 1.5 = 3.5.
    np.testing.assert_allclose(discriminator(REAL, FAKE), (0.75 + 3.5) / 2)


def test_generator_hinge():
    # audiocraft's hinge2.
    # First: mean(3, 1) = 2; second: 0.5.
    np.testing.assert_allclose(generator(FAKE), (2 + 0.5) / 2)


def test_feature_loss_and_where_its_gradient_goes():
    # First discriminator: layers 1.5 and 1; second: 1.
    np.testing.assert_allclose(feature_l1(REAL, FAKE), ((1.5 + 1) / 2 + 1) / 2)
    to_real, to_fake = jax.grad(feature_l1, argnums=(0, 1))(REAL, FAKE)
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(to_real))
    assert float(jnp.abs(to_fake[1][1][0]).max()) > 0


def test_other_forms():
    # Linear (audiocraft's hinge): first mean(2, 0) = 1; second -0.5.
    np.testing.assert_allclose(generator(FAKE, "linear"), (1 - 0.5) / 2)
    # Relative: layer 1 has a real mean of 1.5, layer 2 of 4.
    real = [(REAL[0][0], [REAL[0][1][0], jnp.array([[4.0]])])]
    fake = [(FAKE[0][0], [FAKE[0][1][0], jnp.array([[1.0]])])]
    np.testing.assert_allclose(feature_l1(real, fake, "relative"), (1.5 / 1.5 + 3 / 4) / 2)


def test_least_squares_and_sums():
    # Real: first mean(1, 0.25) = 0.625, second 4; fake: first mean(4, 0) = 2, second 0.25.
    np.testing.assert_allclose(discriminator(REAL, FAKE, "least_squares"), (0.625 + 2 + 4 + 0.25) / 2)
    np.testing.assert_allclose(discriminator(REAL, FAKE, "least_squares", add=True), 0.625 + 2 + 4 + 0.25)
    # First mean(9, 1) = 5, second 0.25.
    np.testing.assert_allclose(generator(FAKE, "least_squares", add=True), 5.25)
    np.testing.assert_allclose(feature_l1(REAL, FAKE, add=True), 1.5 + 1 + 1)
