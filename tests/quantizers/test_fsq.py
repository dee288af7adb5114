"""Finite scalar quantization: the paper's values and codes, scales of levels, what is trained."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import FSQQuantizerConfig
from codax.quantizers import fsq

SIZES = (8, 5, 3, 4)
LEVELS, DIMENSION = 3, 16


@pytest.fixture(scope="module")
def setup():
    config = FSQQuantizerConfig(num_quantizers=LEVELS, fsq_levels=SIZES, decay=0.9)
    quantizer = fsq.FiniteScalarQuantizer(config, DIMENSION)
    x = 7.0 * jax.random.normal(jax.random.key(0), (4, 50, DIMENSION))
    key = jax.random.key(1)
    variables = quantizer.init(key, x, levels=jnp.full(4, LEVELS), key=key, update=False)
    assert not bool(variables["codebook"]["initialised"])
    _, books = quantizer.apply(variables, x, key, method="initialise", mutable=["codebook"])
    return quantizer, {**variables, **books}, x


def test_every_code_has_its_values_and_back() -> None:
    codes = jnp.arange(math.prod(SIZES))
    values = fsq.to_values(codes, SIZES)
    assert len(np.unique(np.asarray(values), axis=0)) == len(codes)
    for channel, size in enumerate(SIZES):
        expected = (np.arange(size) - size // 2) / (size // 2)
        np.testing.assert_allclose(np.unique(values[:, channel]), expected, rtol=1e-6)
    digits = values * np.asarray([size // 2 for size in SIZES])
    np.testing.assert_array_equal(fsq.to_codes(jnp.round(digits), SIZES), codes)
    # The first channel is the least significant: 3 + 8 * (1 + 5 * (1 + 3 * 3)).
    np.testing.assert_array_equal(fsq.to_codes(jnp.asarray([-1, -1, 0, 1]), SIZES), 3 + 8 * (1 + 5 * (1 + 3 * 3)))


def test_bounds_by_hand() -> None:
    """Appendix A.1: tanh(x + atanh(o / h)) h - o, with h = (L - 1)(1 + 1e-3) / 2 and o = 1/2 where L is even."""
    x = np.linspace(-4, 4, 101)[:, None] * np.ones(len(SIZES))
    actual = fsq.bound(jnp.asarray(x, jnp.float32), SIZES)
    for channel, size in enumerate(SIZES):
        half, offset = (size - 1) * 1.001 / 2, 0.5 if size % 2 == 0 else 0.0
        expected = np.tanh(x[:, channel] + np.arctanh(offset / half)) * half - offset
        np.testing.assert_allclose(actual[:, channel], expected, atol=1e-5)
        digits = np.unique(np.round(np.asarray(actual[:, channel])))
        np.testing.assert_array_equal(digits, np.arange(size) - size // 2)  # all of them, and no others
    assert abs(fsq.bound(jnp.zeros(len(SIZES)), SIZES)).max() < 1e-6  # zero stays zero


def test_scales_give_every_level_unit_power(setup) -> None:
    quantizer, variables, x = setup
    (kernel, _), _, scale = quantizer.apply(variables, method="_stack")
    codes = quantizer.apply(variables, x, method="encode")
    for level in range(LEVELS):
        before = quantizer.apply(variables, codes[..., :level], method="decode") if level else 0.0
        np.testing.assert_allclose(scale[level], np.sqrt(np.mean((x - before) ** 2)), rtol=1e-4)
        inner = (x - before) @ kernel[level]
        assert 0.5 < float(jnp.std(inner)) < 2
    assert 6 < scale[0] < 8
    for level in range(1, LEVELS):  # what comes out is what went in, so every level leaves less
        assert scale[level] < scale[level - 1]


def test_every_digit_is_used(setup) -> None:
    quantizer, variables, x = setup
    digits = fsq.to_values(quantizer.apply(variables, x, method="encode"), SIZES)
    for level in range(LEVELS):
        for channel, size in enumerate(SIZES):
            assert len(np.unique(digits[:, :, level, channel])) >= min(size, 5)


def test_projections_alone_are_trained(setup) -> None:
    quantizer, variables, x = setup
    assert set(variables["params"]) == {"inward", "outward"}

    def loss(params, levels):
        arguments = {"levels": levels, "key": jax.random.key(0), "update": False, "mutable": ["codebook"]}
        out, _ = quantizer.apply({**variables, "params": params}, x, **arguments)
        assert out.codebook is None
        return jnp.sum(out.quantized**2) + out.commitment

    gradients = jax.grad(loss)(variables["params"], jnp.full(4, LEVELS))
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradients))
    for gradient in jax.tree.leaves(jax.grad(loss)(variables["params"], jnp.ones(4, int))):
        assert np.abs(gradient[0]).max() > 0 and not np.any(gradient[1:])


def test_the_gradient_is_that_of_the_bound(setup) -> None:
    """Rounding is passed over; the slope of the bound is not."""
    quantizer, variables, _ = setup
    inner = jax.random.normal(jax.random.key(3), (6, len(SIZES)))
    pull = jax.random.normal(jax.random.key(4), inner.shape)

    def learn(inner):
        _, vectors, losses = quantizer.apply(variables, inner, jnp.ones(()), jnp.ones(6), method="learn")
        assert losses == {}
        return jnp.sum(vectors * pull)

    halves = np.asarray([size // 2 for size in SIZES])
    expected = jax.grad(lambda inner: jnp.sum(fsq.bound(inner, SIZES) / halves * pull))(inner)
    np.testing.assert_allclose(jax.grad(learn)(inner), expected, rtol=1e-5, atol=1e-7)
