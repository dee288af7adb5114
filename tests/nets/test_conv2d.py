"""The gradients of the two-dimensional convolution are those of automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.conv2d import conv2d

# Kernel, strides, pads and dilation: those of every discriminator here, and some that fit badly.
CASES = [
    ((3, 9), (1, 1), ((1, 1), (4, 4)), (1, 1)),
    ((3, 5), (1, 1), ((2, 2), (2, 2)), (2, 1)),
    ((3, 8), (1, 2), ((1, 1), (3, 3)), (1, 1)),
    ((3, 9), (1, 2), ((4, 4), (4, 4)), (4, 1)),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((4, 4), (2, 2), "SAME", (1, 1)),
    ((3, 4), (1, 2), "SAME", (1, 1)),
    ((1, 1), (2, 2), "SAME", (1, 1)),
    ((5, 1), (3, 1), ((2, 2), (0, 0)), (1, 1)),
    ((2, 5), (4, 3), ((0, 1), (2, 0)), (1, 1)),
    ((3, 3), (2, 1), ((2, 2), (2, 2)), (1, 2)),
    ((3, 2), (2, 2), ((2, 1), (1, 0)), (2, 1)),  # stride and dilation of one axis
]


@pytest.mark.parametrize(("size", "strides", "pads", "dilation"), CASES)
@pytest.mark.parametrize("shape", [(2, 13, 18, 3), (1, 12, 21, 5), (1, 12, 20, 17)])
def test_values_and_gradients(size, strides, pads, dilation, shape) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*size, shape[3], 4)), jnp.float32)

    def native(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def ours(x, kernel):
        return conv2d(x, kernel, strides=strides, pads=pads, dilation=dilation)

    expected, backward = jax.vjp(native, x, kernel)
    actual, our_backward = jax.vjp(ours, x, kernel)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    negative_slope = jnp.asarray(rng.normal(size=expected.shape), jnp.float32)
    for mine, theirs in zip(our_backward(negative_slope), backward(negative_slope), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * float(jnp.abs(theirs).max()))
