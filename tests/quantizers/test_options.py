"""What every kind of quantizer must do, with every option."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config, ConfigError, FSQQuantizerConfig
from codax.quantizers.registry import make_quantizer
from quantizer_options import OPTIONS, with_option

LEVELS, DIMENSION = 3, 8


@pytest.fixture(scope="module", params=OPTIONS)
def setup(request):
    config = Config()
    config.model.dimension, config.quantizer.num_quantizers, config.quantizer.kbps = DIMENSION, LEVELS, ()
    config.quantizer.dead_threshold = 0.0
    quantizer = make_quantizer(with_option(config, request.param))
    x = jax.random.normal(jax.random.key(0), (4, 25, DIMENSION))
    key = jax.random.key(1)
    variables = quantizer.init(key, x, levels=jnp.full(4, LEVELS), key=key, update=False)
    _, books = quantizer.apply(variables, x, key, method="initialise", mutable=["codebook"])
    return quantizer, {**variables, **books}, x, config


def run(setup, levels, x=None, **options):
    quantizer, variables, data, _ = setup
    arguments = {"levels": jnp.asarray(levels), "key": jax.random.key(2), "update": False} | options
    return quantizer.apply(variables, data if x is None else x, mutable=["codebook"], **arguments)


def test_training_equals_encoding_and_decoding_at_every_number_of_levels(setup) -> None:
    quantizer, variables, x, config = setup
    levels = [1, 2, 3, 3]
    out, _ = run(setup, levels)
    codes = quantizer.apply(variables, x, method="encode")
    np.testing.assert_array_equal(out.codes, codes)
    assert codes.dtype == jnp.int32 and codes.min() >= 0 and codes.max() < config.quantizer.codebook_size
    for n in range(1, LEVELS + 1):
        np.testing.assert_array_equal(quantizer.apply(variables, x, n, method="encode"), codes[..., :n])
    for i, n in enumerate(levels):
        expected = quantizer.apply(variables, codes[i : i + 1, :, :n], method="decode")[0]
        np.testing.assert_allclose(out.quantized[i], expected, atol=1e-5)
    np.testing.assert_allclose(out.first, quantizer.apply(variables, codes[..., :1], method="decode"), atol=1e-5)


def test_every_level_has_its_use(setup) -> None:
    out, after = run(setup, [LEVELS] * 4, update=True)
    assert set(out.metrics) >= {"perplexity", "used", "coverage", "dead_share"}
    for name in ("perplexity", "used", "coverage", "dead_share"):
        assert out.metrics[name].shape == (LEVELS,) and np.isfinite(out.metrics[name]).all()
    assert out.metrics["coverage"].min() > 0.15 and out.metrics["perplexity"].min() > 2
    assert after["codebook"]["count"].sum() > 0


def test_a_gradient_reaches_the_input(setup) -> None:
    pull = jax.random.normal(jax.random.key(3), setup[2].shape)
    got = jax.grad(lambda x: jnp.sum(run(setup, [1, 2, 3, 3], x=x)[0].quantized * pull))(setup[2])
    assert np.isfinite(got).all() and np.abs(got).max(axis=(1, 2)).min() > 1e-3
    if setup[3].quantizer.kind != "factorised":  # whose maps out and in start at random
        assert float(jnp.sum(got * pull)) > 0  # the same way as at the output, more or less


def test_examples_without_quantization_and_half_precision(setup) -> None:
    x = setup[2]
    bypass = jnp.array([True, False, False, True])
    free, _ = run(setup, [LEVELS] * 4, bypass=bypass)
    np.testing.assert_allclose(free.quantized[bypass], x[bypass], atol=1e-6)
    np.testing.assert_array_equal(free.quantized[1:3], run(setup, [LEVELS] * 4)[0].quantized[1:3])
    out, updated = run(setup, [LEVELS] * 4, x=x.astype(jnp.bfloat16), update=True)
    assert out.quantized.dtype == jnp.bfloat16 and out.commitment.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.bool_)}


def test_the_rotation_trick_turns_the_whole_stack() -> None:
    """Moving averages: the gradient at the input is (|q| / |x|) R' of the one at the output, q the sum of levels."""
    config = Config()
    config.model.dimension, config.quantizer.num_quantizers, config.quantizer.kbps = DIMENSION, LEVELS, ()
    quantizer = make_quantizer(with_option(config, "rotation"))
    x, pull = (jax.random.normal(jax.random.key(i), (1, 12, DIMENSION)) for i in range(2))
    variables = quantizer.init(jax.random.key(0), x, levels=jnp.ones(1, int), key=jax.random.key(0), update=False)
    _, variables = quantizer.apply(variables, x, jax.random.key(1), method="initialise", mutable=["codebook"])

    def output(x):
        levels = jnp.full(1, 2)
        return quantizer.apply(variables, x, levels=levels, key=jax.random.key(0), update=False).quantized

    got = jax.grad(lambda x: jnp.sum(output(x) * pull))(x)
    for given, quantized, g, actual in zip(x[0], output(x)[0], pull[0], got[0], strict=True):
        lengths = np.linalg.norm(given), np.linalg.norm(quantized)
        a, b = given / lengths[0], quantized / lengths[1]
        r = (a + b) / np.linalg.norm(a + b)
        turn = np.eye(DIMENSION) - 2 * np.outer(r, r) + 2 * np.outer(b, a)
        np.testing.assert_allclose(actual, lengths[1] / lengths[0] * turn.T @ g, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "fsq", "fsq_levels": (4, 2)}, "fsq_levels"),
        ({"kind": "fsq", "fsq_levels": ()}, "fsq_levels"),
        ({"kind": "fsq", "fsq_levels": (256, 257)}, "fsq_levels = .*at most 65536"),
        ({"kind": "fsq", "codebook_size": 1024}, r"codebook_size of kind fsq \(average, factorised only\)"),
        ({"kind": "fsq", "projection": 8}, "projection of kind fsq"),
        ({"kind": "fsq", "gradient": "rotation"}, "gradient of kind fsq"),
        ({"kind": "fsq", "semantic": 1}, r"semantic of kind fsq \(average only\)"),
        ({"kind": "factorised", "normalise": True}, "normalise of kind factorised"),
        ({"kind": "factorised", "projection": 0}, "projection"),
        ({"gradient": "reinforce"}, "gradient"),
        ({"alarm_coverage": 1.0}, "alarm_coverage"),
    ],
)
def test_options_that_do_not_fit_are_named(fields, message) -> None:
    config, fields = Config(), dict(fields)
    config.quantizer = config.quantizer.of_class(fields.pop("kind", "average"))
    with pytest.raises(ConfigError, match=f"quantizer.{message}"):
        for name, value in fields.items():
            setattr(config.quantizer, name, value)
        config.validate()


def test_fsq_needs_no_other_field_and_has_ten_bits() -> None:
    config = Config(quantizer=FSQQuantizerConfig())
    assert config.validate().bits_per_code == 10
    config.quantizer.fsq_levels = (8, 5, 5, 5)
    assert config.validate().bits_per_code == 10  # of 9.97 that are needed
    config.quantizer.fsq_levels, config.quantizer.kbps = (3,) * 7, ()
    assert config.validate().bits_per_code == 12 and config.kbps(2) == 75 * 2 * 12 / 1000
