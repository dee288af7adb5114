"""The residual quantizer: levels, gradients, dropout and codebook updates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import EMAQuantizerConfig
from codax.quantizers.rvq import ResidualVectorQuantizer, draw_levels

LEVELS, ENTRIES, DIMENSION = 3, 16, 4


@pytest.fixture(scope="module")
def setup():
    config = EMAQuantizerConfig(num_quantizers=LEVELS, codebook_size=ENTRIES, kmeans_iterations=5, dead_threshold=0.0)
    quantizer = ResidualVectorQuantizer(config, DIMENSION)
    x = jax.random.normal(jax.random.key(0), (4, 25, DIMENSION))
    variables = quantizer.init(jax.random.key(0), x, levels=jnp.full(4, LEVELS), key=jax.random.key(0), update=False)
    _, variables = quantizer.apply(variables, x, jax.random.key(1), method="initialise", mutable=["codebook"])
    return quantizer, variables, x


def run(setup, levels, update=False, x=None):
    quantizer, variables, data = setup
    return quantizer.apply(
        variables,
        data if x is None else x,
        levels=jnp.asarray(levels),
        key=jax.random.key(2),
        update=update,
        mutable=["codebook"],
    )


def test_nothing_is_trained_by_gradient(setup):
    assert set(setup[1]) == {"codebook"}
    assert bool(setup[1]["codebook"]["initialised"])


def test_training_pass_equals_encode_and_decode(setup):
    quantizer, variables, x = setup
    out, _ = run(setup, [LEVELS] * 4)
    codes = quantizer.apply(variables, x, method="encode")
    np.testing.assert_array_equal(out.codes, codes)
    np.testing.assert_allclose(out.quantized, quantizer.apply(variables, codes, method="decode"), atol=1e-5)


def test_every_level_brings_the_sum_closer(setup):
    quantizer, variables, x = setup
    codes = quantizer.apply(variables, x, method="encode")
    errors = [
        float(jnp.mean((x - quantizer.apply(variables, codes[..., :n], method="decode")) ** 2))
        for n in range(1, LEVELS + 1)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]


def test_dropout_is_per_example(setup):
    quantizer, variables, x = setup
    levels = [1, 2, 3, 1]
    out, _ = run(setup, levels)
    codes = quantizer.apply(variables, x, method="encode")
    for i, n in enumerate(levels):
        want = quantizer.apply(variables, codes[i : i + 1, :, :n], method="decode")
        np.testing.assert_allclose(out.quantized[i : i + 1], want, atol=1e-5)


def test_dropout_draws_every_number_of_levels():
    drawn = draw_levels(jax.random.key(0), 4000, 8)
    counts = np.bincount(np.asarray(drawn), minlength=9)
    assert counts[0] == 0 and len(counts) == 9
    assert counts[1:].min() > 400 and counts[1:].max() < 600


def test_straight_through_gradient_is_the_identity(setup):
    negative_slope = jax.random.normal(jax.random.key(3), setup[2].shape)
    got = jax.grad(lambda x: jnp.sum(run(setup, [1, 2, 3, 3], x=x)[0].quantized * negative_slope))(setup[2])
    np.testing.assert_allclose(got, negative_slope, atol=1e-6)


def test_commitment_gradient_is_detached_at_every_level(setup):
    """d/dx of the mean over levels of |x - sum of entries so far|^2, each level's entries held constant."""
    quantizer, variables, x = setup
    levels = [1, 2, 3, 3]
    codes = quantizer.apply(variables, x, method="encode")
    want = np.zeros(x.shape)
    for i, n in enumerate(levels):
        for level in range(1, n + 1):
            so_far = quantizer.apply(variables, codes[i : i + 1, :, :level], method="decode")[0]
            want[i] += 2 * (np.asarray(x[i]) - np.asarray(so_far)) / (n * DIMENSION * x.shape[0] * x.shape[1])
    got = jax.grad(lambda x: run(setup, levels, x=x)[0].commitment)(x)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_unused_levels_do_not_learn(setup):
    _, before, _ = setup
    _, after = run(setup, [1, 1, 1, 1], update=True)
    moved = np.abs(np.asarray(after["codebook"]["embedding"] - before["codebook"]["embedding"])).max(axis=(1, 2))
    assert moved[0] > 0
    # The running sums of the other levels decay together with their counts: the embedding stays where it was.
    np.testing.assert_allclose(moved[1:], 0, atol=1e-4)


def test_update_moves_towards_the_data(setup):
    quantizer, variables, x = setup
    shifted = x + 3.0

    @jax.jit
    def step(variables):
        options = {"levels": jnp.full(4, LEVELS), "key": jax.random.key(2), "update": True}
        return quantizer.apply(variables, shifted, mutable=["codebook"], **options)[1]

    for _ in range(200):
        variables = step(variables)
    codes = quantizer.apply(variables, shifted, method="encode")
    error = jnp.mean((shifted - quantizer.apply(variables, codes, method="decode")) ** 2)
    stale = jnp.mean((shifted - quantizer.apply(setup[1], codes, method="decode")) ** 2)
    assert float(error) < 0.2 * float(stale)


def test_half_precision_input_is_quantized_in_float32(setup):
    out, updated = run(setup, [LEVELS] * 4, update=True, x=setup[2].astype(jnp.bfloat16))
    assert out.quantized.dtype == jnp.bfloat16
    assert updated["codebook"]["embedding"].dtype == jnp.float32
    assert out.commitment.dtype == jnp.float32
