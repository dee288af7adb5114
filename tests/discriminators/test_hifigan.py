"""Discriminators of HiFi-GAN by hand: shapes, sizes and the largest singular value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.discriminators.hifigan import PeriodDiscriminator, ScaleDiscriminator, halve, spectral_normed


@pytest.mark.parametrize("shape", [(3, 8, 16), (41, 4, 24), (15, 1, 32)])
def test_spectral_norm_divides_by_the_largest_singular_value(shape) -> None:
    kernel = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    actual = np.asarray(spectral_normed(jnp.asarray(kernel)))
    largest = np.linalg.svd(kernel.reshape(-1, shape[-1]), compute_uv=False)[0]
    # A power iteration falls short of the value a little where the next one is near.
    np.testing.assert_allclose(actual * largest, kernel, rtol=0.06, atol=0.06)
    assert np.linalg.svd(actual.reshape(-1, shape[-1]), compute_uv=False)[0] >= 0.999


def test_sizes_are_those_of_hifi_gan() -> None:
    audio = jax.ShapeDtypeStruct((1, 3000, 1), jnp.float32)

    def size(net) -> int:
        shapes = jax.eval_shape(net.init, jax.random.key(0), audio)["params"]
        return sum(int(np.prod(x.shape)) for name, x in jax.tree_util.tree_leaves_with_path(shapes))

    # PyTorch's, with one more value for each output channel's scale where there is weight normalisation.
    kernels = [(5, 1, 32), (5, 32, 128), (5, 128, 512), (5, 512, 1024), (5, 1024, 1024), (3, 1024, 1)]
    assert size(PeriodDiscriminator(3)) == sum(w * i * o + 2 * o for w, i, o in kernels)
    kernels = [(15, 1, 128), (41, 32, 128), (41, 8, 256), (41, 16, 512), (41, 32, 1024), (41, 64, 1024),
               (5, 1024, 1024), (3, 1024, 1)]  # fmt: skip
    assert size(ScaleDiscriminator()) == sum(w * i * o + 2 * o for w, i, o in kernels)
    assert size(ScaleDiscriminator(spectral=True)) == sum(w * i * o + o for w, i, o in kernels)


def test_a_period_sees_its_own_phase_alone() -> None:
    net = PeriodDiscriminator(3, max_channels=8)
    audio = np.random.default_rng(0).standard_normal((1, 300, 1)).astype(np.float32)
    params = net.init(jax.random.key(0), audio)
    before, features = net.apply(params, audio)
    assert before.shape == (1, 2, 3, 1)
    assert len(features) == 6
    changed = audio.copy()
    changed[0, 1::3] += 1
    after, _ = net.apply(params, changed)
    same = np.asarray(before == after).all(axis=(0, 1, 3))
    np.testing.assert_array_equal(same, [True, False, True])


def test_halving() -> None:
    x = jnp.arange(1.0, 7.0)[None, :, None]
    np.testing.assert_allclose(halve(x)[0, :, 0], [3 / 4, 10 / 4, 18 / 4, 11 / 4])
