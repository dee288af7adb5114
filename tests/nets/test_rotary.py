"""Rotary positions are exact for days, attention in blocks is attention, and layers do what their formula says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.rotary import RotaryTransformer, attend_blocks, rotate, rotations
from codax.nets.transformer import Transformer, attend
from codax.runtime.platforms import tracing_for


def test_rotations_equal_the_exact_ones() -> None:
    positions = np.array([0, 1, 249, 255, 256, 65_536, 2_160_003, 2**31 - 1])
    cos, sin = rotations(jnp.asarray(positions), 8, 10_000.0)
    angles = np.outer(positions.astype(np.longdouble), 10_000.0 ** (-np.arange(4) / 4))
    np.testing.assert_allclose(cos, np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(sin, np.sin(angles), atol=1e-6)


def test_products_depend_on_the_distance_alone() -> None:
    q, k = np.random.default_rng(0).standard_normal((2, 1, 8)).astype(np.float32)

    def product(a: int, b: int) -> float:
        first, second = (rotate(jnp.asarray(x), *rotations(jnp.asarray([p]), 8, 1e4)) for x, p in ((q, a), (k, b)))
        return float(jnp.sum(first * second))

    assert abs(product(7, 3) - product(1_000_007, 1_000_003)) < 1e-5
    assert abs(product(7, 3) - product(7, 4)) > 1e-3
    # By hand: channels 0 and 4 turn by one radian a step.
    turned = rotate(jnp.asarray([[1.0, 0, 0, 0, 0, 0, 0, 0]]), *rotations(jnp.asarray([1]), 8, 1e4))
    np.testing.assert_allclose(turned[0, jnp.array([0, 4])], [np.cos(1), np.sin(1)], atol=1e-6)


def test_attention_in_blocks_is_attention() -> None:
    for time, context in ((23, 5), (20, 5), (16, 1)):
        q, k, v = jax.random.normal(jax.random.key(time), (3, 2, 3, time, 4))
        steps = jnp.arange(time)
        whole = attend(q, steps, [(k, v, steps)], context - 1, first=0)
        np.testing.assert_allclose(attend_blocks(q, k, v, context), whole, atol=1e-6)


def test_layers_add_little_at_first_and_have_no_biases() -> None:
    net = RotaryTransformer(layers=2, heads=2, hidden=12, context=4, period=1e4, scale=0.01)
    x = jax.random.normal(jax.random.key(0), (2, 9, 8))
    variables = net.init(jax.random.key(1), x)
    assert float(jnp.abs(net.apply(variables, x) - x).max()) < 0.2
    layer = variables["params"]["layer0"]
    assert set(layer["attention"]) == {"kernel", "out_kernel"} and set(layer["dense1"]) == {"kernel"}
    np.testing.assert_array_equal(layer["attention_scale"], np.full(8, 0.01, np.float32))


def test_bfloat16_is_near() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 9, 8))
    settings = {"layers": 2, "heads": 2, "hidden": 12, "context": 4, "period": 1e4, "scale": 0.5}
    net, half = RotaryTransformer(**settings), RotaryTransformer(**settings, dtype=jnp.bfloat16)
    variables = net.init(jax.random.key(1), x)
    difference = net.apply(variables, x) - half.apply(variables, x).astype(jnp.float32)
    assert float(jnp.abs(difference).max()) < 0.1


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("kind", ["rotary", "sinusoidal"])
def test_a_loop_on_accelerators_equals_separate_layers(kind: str, remat: bool) -> None:
    rotary = RotaryTransformer(5, 2, 32, context=9, period=10_000.0, scale=0.5, remat=remat)
    net = rotary if kind == "rotary" else Transformer(5, 2, 32, past_context=9)
    x = jax.random.normal(jax.random.key(1), (2, 12, 16))
    params = net.init(jax.random.key(0), x)

    def value(params, x):
        y = net.apply(params, x)
        return jnp.sum(jnp.sin(y)), y

    def gradient():  # made again for each platform, since a trace is kept by its function
        return jax.value_and_grad(value, has_aux=True, argnums=(0, 1))

    (_, expected), gradients = gradient()(params, x)
    separate = str(jax.make_jaxpr(gradient())(params, x)).count("dot_general")
    with tracing_for("tpu"):
        (_, actual), others = gradient()(params, x)
        assert str(jax.make_jaxpr(gradient())(params, x)).count("dot_general") < separate / 3
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), others, gradients)
