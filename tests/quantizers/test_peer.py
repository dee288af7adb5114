r"""Live comparison with the `vector-quantize-pytorch` package, where it is installed.

pip install torch==2.13.0 && pip install --no-deps \
    vector-quantize-pytorch==1.32.0 einops einx loguru frozendict torch_einops_utils
"""

from __future__ import annotations

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.quantizers import fsq, gradients

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def peer():
    pytest.importorskip("vector_quantize_pytorch")
    return importlib.import_module("vector_quantize_pytorch.vector_quantize_pytorch")


@pytest.mark.parametrize("sizes", [(8, 5, 5, 5), (4, 4, 4, 4, 4), (3, 7)])
def test_codes_values_and_gradients_of_fsq(peer, sizes: tuple[int, ...]) -> None:
    theirs = importlib.import_module("vector_quantize_pytorch").FSQ(list(sizes))
    x, pull = np.random.default_rng(0).normal(0, 1.5, (2, 1, 500, len(sizes))).astype(np.float32)
    given = torch.tensor(x, requires_grad=True)
    values, codes = theirs(given)
    values.backward(torch.tensor(pull))
    ours = fsq.to_codes(jnp.round(fsq.bound(jnp.asarray(x), sizes)), sizes)
    np.testing.assert_array_equal(ours, codes.numpy())
    np.testing.assert_allclose(fsq.to_values(ours, sizes), values.detach().numpy(), atol=1e-6)
    halves = np.asarray([size // 2 for size in sizes])
    negative_slope = jax.grad(lambda x: jnp.sum(fsq.bound(x, sizes) / halves * pull))(jnp.asarray(x))
    np.testing.assert_allclose(negative_slope, given.grad.numpy(), atol=1e-5)


def test_values_and_gradients_of_the_rotation_trick(peer) -> None:
    x, quantized, pull = np.random.default_rng(0).normal(size=(3, 1, 300, 16)).astype(np.float32)
    given = torch.tensor(x, requires_grad=True)
    turned = peer.rotate_to(given, torch.tensor(quantized))
    turned.backward(torch.tensor(pull))
    np.testing.assert_allclose(gradients.rotation(jnp.asarray(x), quantized), turned.detach().numpy(), atol=1e-5)
    negative_slope = jax.grad(lambda x: jnp.sum(gradients.rotation(x, jnp.asarray(quantized)) * pull))(jnp.asarray(x))
    np.testing.assert_allclose(negative_slope, given.grad.numpy(), atol=1e-5)
