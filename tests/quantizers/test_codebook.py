"""Codebook mathematics against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from codax.quantizers import codebook as cb


def state(embedding, count):
    embedding = jnp.asarray(embedding, jnp.float32)
    count = jnp.asarray(count, jnp.float32)
    return cb.CodebookState(embedding=embedding, total=embedding * count[..., None], count=count)


def test_nearest():
    embedding = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    x = jnp.array([[0.4, 0.1], [0.6, 0.1], [0.0, 1.4], [0.0, 1.6]])
    np.testing.assert_array_equal(cb.nearest(x, embedding), [0, 1, 0, 2])


def test_two_vector_moving_average():
    """Entries 0 and 10, counts 1 and 1; one step with vectors 2 and 4 given to entry 0, decay 0.9, no smoothing."""
    before = state([[[0.0], [10.0]]], [[1.0, 1.0]])
    after = cb.moving_average(before, jnp.array([[2.0, 0.0]]), jnp.array([[[6.0], [0.0]]]), decay=0.9, epsilon=0.0)
    np.testing.assert_allclose(after.count, [[1.1, 0.9]], rtol=1e-6)
    np.testing.assert_allclose(after.total, [[[0.6], [9.0]]], rtol=1e-6)
    np.testing.assert_allclose(after.embedding, [[[0.6 / 1.1], [10.0]]], rtol=1e-6)


def test_laplace_smoothing():
    """Counts 3 and 1 with epsilon 1: (3 + 1) / (4 + 2) * 4 and (1 + 1) / (4 + 2) * 4."""
    before = state([[[1.0], [1.0]]], [[3.0, 1.0]])
    after = cb.moving_average(before, before.count, before.total, decay=0.5, epsilon=1.0)
    np.testing.assert_allclose(after.embedding, [[[3 / (8 / 3)], [1 / (4 / 3)]]], rtol=1e-6)


def test_an_unused_level_keeps_its_embedding():
    before = cb.CodebookState(jnp.ones((1, 2, 1)), jnp.zeros((1, 2, 1)), jnp.zeros((1, 2)))
    after = cb.moving_average(before, jnp.zeros((1, 2)), jnp.zeros((1, 2, 1)), decay=0.9, epsilon=1e-5)
    np.testing.assert_array_equal(after.embedding, before.embedding)


def test_revival_resets_sum_and_count_and_survives_the_next_average():
    before = state([[[0.0], [10.0]]], [[5.0, 0.1]])
    frames = jnp.array([[[7.0], [8.0]]])
    after, dead = cb.revive_dead(before, frames, threshold=2.0)
    np.testing.assert_array_equal(dead, [1])
    np.testing.assert_allclose(after.embedding, [[[0.0], [8.0]]])
    np.testing.assert_allclose(after.count, [[5.0, 4.0]])  # twice the threshold beats the mean of 2.55
    np.testing.assert_allclose(after.total, [[[0.0], [32.0]]])
    later = cb.moving_average(after, jnp.zeros((1, 2)), jnp.zeros((1, 2, 1)), decay=0.99, epsilon=0.0)
    np.testing.assert_allclose(later.embedding, after.embedding, rtol=1e-6)
    _, dead_again = cb.revive_dead(later, frames, threshold=2.0)
    np.testing.assert_array_equal(dead_again, [0])


def test_statistics_in_both_forms(monkeypatch):
    x = jax.random.normal(jax.random.key(0), (50, 3))
    codes = jax.random.randint(jax.random.key(1), (50,), 0, 7)
    weight = (jnp.arange(50) % 3 > 0).astype(jnp.float32)
    want_count = [float(weight[codes == k].sum()) for k in range(7)]
    want_total = np.stack([np.asarray((x * weight[:, None])[codes == k].sum(0)) for k in range(7)])
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        count, total = cb.assignment_statistics(x, codes, weight, 7)
        np.testing.assert_allclose(count, want_count)
        np.testing.assert_allclose(total, want_total, atol=1e-5)


def test_kmeans_finds_separate_clusters():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.repeat(centres, 50, axis=0) + rng.normal(0, 0.1, (200, 2)), jnp.float32)
    # Started from eight random frames, so that every cluster has a centroid near it.
    actual, count = cb.kmeans(x, jax.random.key(1), 8, 20, None)
    assert float(count.sum()) == 200
    distance = np.linalg.norm(np.asarray(actual)[None] - centres[:, None], axis=-1).min(axis=1)
    assert distance.max() < 0.3


def test_usage():
    perplexity, used = cb.usage(jnp.array([[5.0, 5.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(perplexity, [2.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(used, [0.5, 0.25])
