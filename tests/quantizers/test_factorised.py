"""The factorised quantizer of DAC: lookup by angle, levels, gradients, dropout of a share, counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import FactorisedQuantizerConfig
from codax.quantizers.codebook import nearest_direction
from codax.quantizers.factorised import FactorisedQuantizer
from codax.quantizers.rvq import draw_levels

LEVELS, ENTRIES, DIMENSION, INNER = 3, 16, 6, 2


@pytest.fixture(scope="module", params=["plain", "weight_norm"])
def setup(request):
    config = FactorisedQuantizerConfig(num_quantizers=LEVELS, codebook_size=ENTRIES, projection=INNER)
    quantizer = FactorisedQuantizer(config, DIMENSION, weight_norm=request.param == "weight_norm")
    x = jax.random.normal(jax.random.key(0), (4, 25, DIMENSION))
    variables = quantizer.init(jax.random.key(0), x, levels=jnp.full(4, LEVELS), key=jax.random.key(0), update=False)
    return quantizer, variables, x


def run(setup, levels, params=None, **options):
    quantizer, variables, x = setup
    arguments = {"x": x, "levels": jnp.asarray(levels), "key": jax.random.key(2), "update": False} | options
    params = variables["params"] if params is None else params
    return quantizer.apply({**variables, "params": params}, arguments.pop("x"), mutable=["codebook"], **arguments)


def test_the_entry_of_the_smallest_angle_is_taken() -> None:
    entries = jnp.asarray([[10.0, 0.0], [0.1, 0.1], [0.0, 1.0], [-3.0, 0.0]])
    x = jnp.asarray([[0.2, 0.3], [5.0, 1.0], [-0.01, -0.002], [0.1, 9.0]])
    np.testing.assert_array_equal(nearest_direction(x, entries), [1, 0, 3, 2])


def test_codes_and_decoding_by_hand(setup) -> None:
    quantizer, variables, x = setup
    (kernel, bias), (back, shift), books = (
        jax.tree.map(np.asarray, value) for value in quantizer.apply(variables, method="_stack")
    )
    left, total = np.asarray(x), np.zeros(x.shape)
    codes = quantizer.apply(variables, x, method="encode")
    for level in range(LEVELS):
        inner = left @ kernel[level] + bias[level]
        unit = books[level] / np.linalg.norm(books[level], axis=-1, keepdims=True)
        distance = np.linalg.norm(inner[..., None, :] / np.linalg.norm(inner, axis=-1)[..., None, None] - unit, axis=-1)
        np.testing.assert_array_equal(codes[..., level], distance.argmin(-1))
        part = books[level][codes[..., level]] @ back[level] + shift[level]
        left, total = left - part, total + part
        some = quantizer.apply(variables, codes[..., : level + 1], method="decode")
        np.testing.assert_allclose(some, total, atol=1e-5)
        np.testing.assert_array_equal(
            quantizer.apply(variables, x, level + 1, method="encode"), codes[..., : level + 1]
        )


def test_training_equals_encoding_at_every_number_of_levels(setup) -> None:
    quantizer, variables, x = setup
    codes = quantizer.apply(variables, x, method="encode")
    levels = [1, 2, 3, 3]
    out, _ = run(setup, levels)
    np.testing.assert_array_equal(out.codes, codes)
    for i, n in enumerate(levels):
        expected = quantizer.apply(variables, codes[i : i + 1, :, :n], method="decode")
        np.testing.assert_allclose(out.quantized[i : i + 1], expected, atol=1e-5)
    np.testing.assert_allclose(out.first, quantizer.apply(variables, codes[..., :1], method="decode"), atol=1e-5)


def test_everything_is_trained_by_gradient_where_it_is_used(setup) -> None:
    def loss(params, levels, weights):
        out, _ = run(setup, levels, params=params)
        return jnp.stack([jnp.sum(out.quantized**2), out.commitment, out.codebook]) @ weights

    negative_slope = jax.jit(jax.grad(loss))
    whole = negative_slope(setup[1]["params"], jnp.full(4, LEVELS), jnp.ones(3))
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(whole))
    first = negative_slope(setup[1]["params"], jnp.ones(4, int), jnp.ones(3))
    for gradient in jax.tree.leaves(first):
        assert np.abs(gradient[0]).max() > 0 and not np.any(gradient[1:])
    # Entries follow the codebook loss alone, and it moves no projection of its own level.
    for weights, moved in (([1.0, 1.0, 0.0], False), ([0.0, 0.0, 1.0], True)):
        gradient = negative_slope(setup[1]["params"], jnp.ones(4, int), jnp.asarray(weights))
        assert bool(np.any(gradient["embedding"])) == moved
        assert any(np.any(g) for g in jax.tree.leaves(gradient["inward"])) != moved


def test_losses_pull_entries_and_inputs_together(setup) -> None:
    """Both are the sum over an example's levels of the mean squared difference, and have the same value."""
    quantizer, variables, x = setup
    levels = [1, 3, 2, 3]
    out, _ = run(setup, levels)
    (kernel, bias), _, books = quantizer.apply(variables, method="_stack")
    codes = quantizer.apply(variables, x, method="encode")
    total = 0.0
    for i, n in enumerate(levels):
        for level in range(n):
            before = quantizer.apply(variables, codes[i : i + 1, :, :level], method="decode")[0] if level else 0.0
            inner = (x[i] - before) @ kernel[level] + bias[level]
            total += float(jnp.mean((inner - books[level][codes[i, :, level]]) ** 2)) / len(levels)
    np.testing.assert_allclose([out.commitment, out.codebook], total, rtol=1e-4)


def test_examples_without_quantization(setup) -> None:
    x = setup[2]
    bypass = jnp.array([True, False, False, True])
    free, _ = run(setup, [LEVELS] * 4, bypass=bypass)
    bound, _ = run(setup, [LEVELS] * 4)
    np.testing.assert_array_equal(free.quantized[bypass], x[bypass])
    np.testing.assert_array_equal(free.quantized[1:3], bound.quantized[1:3])
    np.testing.assert_array_equal(free.codebook, bound.codebook)


def test_counts_follow_the_codes(setup) -> None:
    out, updated = run(setup, [1, 1, 2, 3], update=True)
    count = np.asarray(updated["codebook"]["count"]) / 0.01
    np.testing.assert_allclose(count.sum(axis=1), [100, 50, 25], rtol=1e-4)
    np.testing.assert_allclose(count[0], np.bincount(np.ravel(out.codes[..., 0]), minlength=ENTRIES), rtol=1e-4)
    np.testing.assert_allclose(out.metrics["used"][0], np.mean(count[0] > 0), rtol=1e-6)
    _, same = run(setup, [1, 1, 2, 3])
    assert not np.any(same["codebook"]["count"])


def test_half_precision_input_is_quantized_in_float32(setup) -> None:
    out, _ = run(setup, [LEVELS] * 4, x=setup[2].astype(jnp.bfloat16))
    assert out.quantized.dtype == jnp.bfloat16
    assert out.commitment.dtype == out.codebook.dtype == jnp.float32


def test_dropout_is_drawn_for_a_share_of_the_batch() -> None:
    drawn = np.asarray(draw_levels(jax.random.key(0), 4_001, 8, share=0.5))
    assert (drawn[2_000:] == 8).all()
    counts = np.bincount(drawn[:2_000], minlength=9)
    assert counts[0] == 0 and counts[1:].min() > 200 and counts[1:].max() < 300
    assert (np.asarray(draw_levels(jax.random.key(0), 10, 8, share=0.0)) == 8).all()
