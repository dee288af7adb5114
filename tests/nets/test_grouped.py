"""The convolution in groups and its gradients are those of XLA's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.grouped import conv_grouped

# Width, stride, groups, channels in and out of a group: those of every discriminator here, and some that fit badly.
LAYERS = [
    (41, 2, 4, 16, 16),
    (41, 2, 16, 4, 4),
    (41, 4, 16, 4, 8),
    (41, 4, 3, 4, 16),
    (41, 1, 16, 4, 4),
    (5, 1, 1, 8, 8),
    (3, 4, 2, 3, 5),
    (1, 1, 2, 3, 5),
    (6, 5, 3, 1, 1),
]


def _native(x, kernel, stride, pads, groups, dilation=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), [pads], rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=groups,
    )  # fmt: skip


def _check(layer, time, dtype, tolerance, dilation=1, pads=None) -> None:
    width, stride, groups, channels, features = layer
    pads = pads or (width // 2, width // 2)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, time, groups * channels)), dtype)
    kernel = jnp.asarray(rng.normal(size=(width, channels, groups * features)), dtype)
    wide = jnp.promote_types(dtype, jnp.float32)

    @jax.jit
    def both(x, kernel, gradient):
        def ours(x, kernel):
            return conv_grouped(x, kernel, stride=stride, pads=pads, groups=groups, dilation=dilation)

        def theirs(x, kernel):
            return _native(x, kernel, stride, pads, groups, dilation)

        y, backward = jax.vjp(ours, x, kernel)
        their_y, their_backward = jax.vjp(theirs, x.astype(wide), kernel.astype(wide))
        return (y, *backward(gradient)), (their_y, *their_backward(gradient.astype(wide)))

    shape = jax.eval_shape(lambda: _native(x, kernel, stride, pads, groups, dilation)).shape
    for mine, expected in zip(*both(x, kernel, jnp.asarray(rng.normal(size=shape), dtype)), strict=True):
        assert mine.shape == expected.shape
        assert mine.dtype == dtype
        if expected.size:
            scale = float(jnp.abs(expected).max())
            np.testing.assert_allclose(mine.astype(wide), expected, rtol=tolerance, atol=tolerance * max(scale, 1e-3))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("time", [1, 17, 243])
def test_values_and_gradients(layer, time) -> None:
    _check(layer, time, jnp.float32, 1e-5)


def test_no_output_and_unequal_padding() -> None:
    _check((41, 2, 4, 4, 4), 20, jnp.float32, 1e-5, pads=(0, 3))
    _check((41, 2, 4, 4, 4), 101, jnp.float32, 1e-5, pads=(3, 0))


def test_dilation() -> None:
    _check((5, 1, 2, 3, 4), 50, jnp.float32, 1e-5, dilation=3)


def test_bfloat16_is_rounded_once() -> None:
    _check((41, 2, 4, 16, 16), 243, jnp.bfloat16, 2**-8)
