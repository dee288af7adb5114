import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.elu import elu
from codax.runtime.platforms import tracing_for


def exact(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_elu_is_exact_to_rounding_for_values_of_every_size(platform: str) -> None:
    sizes = np.logspace(-37, 38, 4001, dtype=np.float32)
    x = np.concatenate([-sizes, sizes, np.linspace(-30, 3, 4001, dtype=np.float32)])
    with tracing_for(platform):
        got = np.asarray(jax.jit(elu)(x))
    np.testing.assert_allclose(got, exact(x), rtol=1.5e-7 if platform == "cpu" else 5e-7)


def test_what_is_no_finite_number() -> None:
    x = jnp.asarray([-np.inf, np.inf, np.nan, 0.0, -0.0])
    np.testing.assert_array_equal(elu(x), [-1, np.inf, np.nan, 0, 0])


def test_the_slope_is_that_of_the_function() -> None:
    x = np.asarray([-200, -30, -3, -0.7, -1e-3, 0, 1e-3, 5], np.float32)
    slopes = jax.vmap(jax.grad(elu))(jnp.asarray(x))
    np.testing.assert_allclose(slopes, np.where(x > 0, 1, np.exp(np.minimum(x, 0))), rtol=1e-6, atol=1e-7)


def test_half_precision_stays_half() -> None:
    x = jnp.linspace(-4, 2, 7, dtype=jnp.bfloat16)
    assert elu(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(elu(x).astype(np.float32), exact(np.asarray(x, np.float32)), rtol=4e-3)
