"""The Fréchet audio distance against numbers computed by hand and by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from codax.metrics import frechet, registry
from codax.metrics.signals import MetricError

RNG = np.random.default_rng(0)


def features(frames, mean, scale):
    channels = len(mean)
    return mean + scale * RNG.standard_normal((frames, channels)) @ RNG.standard_normal((channels, channels))


def test_one_channel_by_hand():
    """Means 1 and 4, variances 1 and 9: (1 - 4)^2 + (1 - 3)^2."""
    first, second = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [4.0], [7.0]])
    assert frechet.distance(frechet.sums(first), frechet.sums(second)) == pytest.approx(13)


def test_several_channels_as_by_scipys_square_root():
    first, second = features(500, np.arange(6), 1), features(300, np.ones(6), 2)
    means = [x.mean(axis=0) for x in (first, second)]
    covariances = [np.cov(x.T) for x in (first, second)]
    overlap = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    expected = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * overlap.real)
    sums = [frechet.sums(x) for x in (first, second)]
    assert frechet.distance(*sums) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(*sums[::-1]) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(sums[0], sums[0]) == pytest.approx(0, abs=1e-9)


def test_sums_add_up():
    x = features(50, np.arange(4), 1)
    np.testing.assert_allclose(frechet.sums(x[:20]) + frechet.sums(x[20:]), frechet.sums(x))


def test_fewer_frames_than_channels():
    x = features(3, np.zeros(8), 1)
    assert frechet.distance(frechet.sums(x), frechet.sums(x + 1)) == pytest.approx(8, rel=1e-6)
    with pytest.raises(MetricError, match="at least two frames"):
        frechet.distance(frechet.sums(x[:1]), frechet.sums(x))


def test_signals():
    """More noise is farther away; signals without a frame add nothing."""
    try:
        (measure,) = registry.select(["fad"]).pooled
    except MetricError as error:
        pytest.skip(str(error))
    clean = np.sin(np.arange(32_000)[:, None] / 20 * np.array([[1, 1.01]]))
    noise = RNG.standard_normal(clean.shape)
    original = measure.statistics(clean, 16_000)
    distances = [
        measure.compare(original, measure.statistics(clean + scale * noise, 16_000))["fad"] for scale in (0, 0.01, 0.1)
    ]
    assert distances[0] < 1e-6 < distances[1] < distances[2]
    np.testing.assert_allclose(original + measure.statistics(clean[:10], 16_000), original)
