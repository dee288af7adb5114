"""Convolutions: the lowerings agree with each other and with XLA's own, in value and in gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.conv import Conv, ConvTranspose, conv_transpose_two_blocks, conv_valid


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("channels,features,length", [(3, 5, 120), (5, 3, 120), (40, 20, 30)])
@pytest.mark.parametrize(
    "width,stride,dilation", [(7, 1, 1), (7, 1, 9), (3, 1, 3), (1, 1, 1), (4, 2, 1), (16, 8, 1), (5, 3, 1), (10, 5, 1)]
)
def test_lowerings_agree(width, stride, dilation, channels, features, length):
    if (reach := (width - 1) * dilation) >= length:
        length += reach
    x, kernel = normal(0, 2, length, channels), normal(1, width, channels, features) / channels**0.5

    @functools.partial(jax.jit, static_argnums=0)
    def run(lowering, x, kernel):
        def f(x, kernel):
            y = conv_valid(x, kernel, stride=stride, dilation=dilation, lowering=lowering)
            return jnp.sum(jnp.sin(y)), y

        (_, y), slopes = jax.value_and_grad(f, argnums=(0, 1), has_aux=True)(x, kernel)
        return y, *slopes

    matmul, native = (run(lowering, x, kernel) for lowering in ("matmul", "native"))
    for a, b in zip(matmul, native, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    assert matmul[0].shape[1] == (length - (width - 1) * dilation - 1) // stride + 1


def test_a_convolution_by_hand():
    x = jnp.arange(1.0, 5.0).reshape(1, 4, 1)
    kernel = jnp.array([10.0, 1.0]).reshape(2, 1, 1)
    np.testing.assert_allclose(conv_valid(x, kernel)[0, :, 0], [12, 23, 34])
    # Causal: output t is kernel[-1] x[t] + kernel[-2] x[t - 1].
    layer = Conv(1, 2)
    params = {"params": {"kernel": kernel, "bias": jnp.array([0.5])}}
    np.testing.assert_allclose(layer.apply(params, x)[0, :, 0], [1.5, 12.5, 23.5, 34.5])


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_transposed_convolution_equals_xla(stride):
    x, kernel = normal(0, 2, 9, 3), normal(1, 2 * stride, 3, 4)
    got = conv_transpose_two_blocks(jnp.pad(x, ((0, 0), (1, 0), (0, 0))), kernel, stride=stride)
    # XLA's transposed convolution with full padding; the overlap beyond the last frame is cut.
    want = jax.lax.conv_general_dilated(
        x,
        kernel[::-1],
        window_strides=(1,),
        padding=((2 * stride - 1, 2 * stride - 1),),
        lhs_dilation=(stride,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )[:, : 9 * stride]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_transposed_convolution_refuses_other_widths():
    with pytest.raises(ValueError, match="width 4"):
        conv_transpose_two_blocks(jnp.zeros((1, 3, 1)), jnp.zeros((3, 1, 1)), stride=2)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_layers_keep_the_rate(causal, stride):
    x = normal(0, 1, 12, 2)
    down = Conv(4, 2 * stride, stride=stride, causal=causal)
    y = down.apply(down.init(jax.random.key(0), x), x)
    assert y.shape == (1, 12 // stride, 4)
    up = ConvTranspose(2, stride, causal=causal)
    assert up.apply(up.init(jax.random.key(0), y), y).shape == x.shape


def test_non_causal_transposed_convolution_is_centred():
    """A constant input through a triangular window gives a constant, up to the ends."""
    stride = 4
    window = np.concatenate([np.arange(1, 5), np.arange(4, 0, -1)]) / 5
    params = {"params": {"kernel": window.reshape(8, 1, 1), "bias": np.zeros(1)}}
    y = ConvTranspose(1, stride, causal=False).apply(params, jnp.ones((1, 6, 1)))[0, :, 0]
    np.testing.assert_allclose(y[2:-2], np.ones(20), atol=1e-6)
    np.testing.assert_allclose(y, y[::-1], atol=1e-6)


def test_init_keeps_the_variance():
    for layer in (Conv(64, 7), ConvTranspose(64, 8)):
        x = normal(0, 2, 400, 64)
        y = layer.apply(layer.init(jax.random.key(1), x), x)
        assert 0.8 < float(jnp.std(y[:, 50:-50])) < 1.2


def test_stride_longer_than_the_kernel_is_refused():
    layer = Conv(1, 2, stride=3)
    with pytest.raises(ValueError, match="shorter than stride"):
        layer.init(jax.random.key(0), jnp.zeros((1, 6, 1)))
