"""Levels and distances against numbers worked out by hand, on NumPy and JAX arrays alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.dsp import distances


@pytest.fixture(params=["numpy", "jax", "compiled"])
def run(request):
    """Calls a function on arrays of one kind; gives NumPy arrays."""

    def call(function, *arrays, **options):
        if request.param == "numpy":
            result = function(*(np.asarray(x, np.float32) for x in arrays), **options)
            assert not isinstance(result, jax.Array)
            return result
        compiled = jax.jit(lambda *args: function(*args, **options))
        result = (compiled if request.param == "compiled" else compiled.__wrapped__)(*map(jnp.float32, arrays))
        assert isinstance(result, jax.Array)
        return np.asarray(result)

    return call


def test_rms(run):
    np.testing.assert_allclose(run(distances.rms, [[3.0, 4.0, 0.0, 0.0], [1.0, -1.0, 1.0, -1.0]]), [2.5, 1.0])
    np.testing.assert_allclose(run(distances.rms, [[3.0], [4.0]], axis=0), [12.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(run(distances.rms, [[3.0, 0.0], [4.0, 0.0]], axis=None), 2.5)


def test_scale_of_a_segment(run):
    # Means over channels: (3, -1) and (0, 0).
    stereo = [[[4.0, 2.0], [-1.0, -1.0]], [[1.0, -1.0], [0.0, 0.0]]]
    scale = run(distances.rms_scale, stereo)
    assert scale.dtype == np.float32
    np.testing.assert_allclose(scale, [5**0.5, 1e-8], rtol=1e-6)


def test_snr(run):
    # |r|^2 = 25, |r - e|^2 = 1 + 4; then 1 and 0.01.
    actual = run(distances.snr, [[3.0, 4.0], [1.0, 0.0]], [[2.0, 2.0], [0.9, 0.0]])
    np.testing.assert_allclose(actual, [10 * np.log10(5), 20], rtol=1e-5)
    along = run(distances.snr, [[3.0], [4.0]], [[2.0], [2.0]], axis=0)
    np.testing.assert_allclose(along, [10 * np.log10(5)], rtol=1e-5)


def test_si_sdr(run):
    # Zero-mean reference (1, -1, 1, -1); the error (1, 1, -1, -1) / 2 is orthogonal to it: 10 log10(4 / 1).
    reference = np.array([1.0, -1, 1, -1])
    estimate = reference + np.array([1.0, 1, -1, -1]) / 2
    expected = 10 * np.log10(4)
    assert run(distances.si_sdr, reference, estimate) == pytest.approx(expected, rel=1e-5)
    assert run(distances.si_sdr, reference + 2, 3 * estimate - 1) == pytest.approx(
        expected, rel=1e-4
    )  # no means, scale
    assert run(distances.si_sdr, reference[:, None], estimate[:, None], axis=0) == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize("ratio", [distances.snr, distances.si_sdr])
def test_a_floor_makes_silence_and_exact_copies_finite(run, ratio):
    signal, silence = np.array([[0.5, -0.5, 0.5, -0.5]]), np.zeros((1, 4))
    floor = 1e-8
    assert run(ratio, signal, signal, floor=floor) == pytest.approx([80], abs=1e-3)  # energies 1 and 0
    assert run(ratio, silence, silence, floor=floor) == pytest.approx([0], abs=1e-3)
    assert run(ratio, silence, signal, floor=floor) == pytest.approx([-80], abs=1e-3)


def test_distances_of_magnitudes(run):
    a, b = [[1.0, 0.0]], [[0.1, 0.0]]
    assert run(distances.log_distance, a, b, floor=0.1) == pytest.approx(np.log(1.1 / 0.2) / 2, rel=1e-5)
    # |0 + 2| and 0 in the logarithms of squares, 0.9 and 0 between the magnitudes.
    assert run(distances.log_and_linear_distance, a, b) == pytest.approx((2 + 0.9) / 2, rel=1e-5)


def test_numpy_and_jax_agree():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 1000)).astype(np.float32)
    b = (a + 0.1 * rng.normal(size=a.shape)).astype(np.float32)
    for function in (distances.snr, distances.si_sdr):
        np.testing.assert_allclose(function(a, b), function(jnp.asarray(a), jnp.asarray(b)), rtol=1e-5)
        np.testing.assert_allclose(function(a, b), function(a, jnp.asarray(b)), rtol=1e-5)  # one of each kind
    for function in (distances.log_distance, distances.log_and_linear_distance):
        np.testing.assert_allclose(function(abs(a), abs(b)), function(*map(jnp.abs, (a, b))), rtol=1e-5)
