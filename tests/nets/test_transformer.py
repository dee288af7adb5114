"""The Transformer's parts by hand, and pieces against the whole."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.nets.transformer import BEFORE, Transformer, attend, ring_frames, sinusoids


def test_positions_by_hand() -> None:
    actual = np.asarray(jax.jit(lambda p: sinusoids(p, 6, 10_000.0))(np.asarray([0, 3])))
    phases = 3 / np.asarray([1, 100, 10_000])
    np.testing.assert_allclose(actual[0], [1, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(actual[1], [*np.cos(phases), *np.sin(phases)], atol=1e-7)


def test_late_positions_are_rounded_once() -> None:
    positions = np.arange(0, 200_000, 1237, dtype=np.int32)
    powers = np.arange(100, dtype=np.float32) / np.float32(99)
    phases = positions[:, None].astype(np.float32) / (1e4 ** powers.astype(np.float64)).astype(np.float32)
    assert phases.dtype == np.float32
    expected = np.concatenate([np.cos(phases, dtype=np.float64), np.sin(phases, dtype=np.float64)], axis=1)
    actual = jax.jit(lambda p: sinusoids(p, 200, 1e4))(positions)
    np.testing.assert_allclose(actual, expected, atol=2e-7)


def test_a_ring_tells_its_frames() -> None:
    ring = np.full(4, BEFORE - 1)
    for count in range(12):
        ring[count % 4] = count - 1  # frame BEFORE lies in slot 0
        actual = np.asarray(ring_frames(jnp.asarray(count), 4))
        np.testing.assert_array_equal(np.where(actual < BEFORE, BEFORE - 1, actual), ring)


def test_attention_in_pieces_is_attention() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 3, n, 5)) for n in (4, 9, 9))
    frames, places, past = np.arange(5, 9), np.arange(9), 3
    scores = np.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(5)
    age = frames[:, None] - places
    weights = np.exp(np.where((age >= 0) & (age <= past), scores, -np.inf))
    expected = np.einsum("bhqk,bhkd->bhqd", weights / weights.sum(-1, keepdims=True), v)
    for cuts in ([], [2], [1, 8]):
        split = (np.split(x, cuts, axis=2) for x in (k, v))
        pieces = list(zip(*split, np.split(places, cuts), strict=True))
        np.testing.assert_allclose(attend(jnp.asarray(q), frames, pieces, past), expected, atol=1e-6)


@pytest.fixture(scope="module")
def small():
    net = Transformer(layers=2, heads=2, hidden=16, past_context=5)
    x = np.random.default_rng(0).standard_normal((2, 23, 8)).astype(np.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)
    # Biases too are away from zero: they are the keys and values of the frame before the first.
    rng = np.random.default_rng(1)
    return net, jax.tree.map(lambda a: 0.4 * rng.standard_normal(a.shape).astype(np.float32), shapes), x


@pytest.mark.parametrize(
    ("sizes", "offset"), [([1] * 23, 0), ([23], 7), ([2, 5, 1, 6, 9], 0), ([4, 12, 7], np.asarray([3, 900]))]
)
def test_pieces_are_the_whole(small, sizes: list[int], offset) -> None:
    net, params, x = small
    expected = jax.jit(net.apply)(params, x, offset)
    run = jax.jit(lambda stream, piece, o: net.apply({**params, "stream": stream}, piece, o, mutable=["stream"]))
    _, kept = run({}, x[:, :0], offset)
    shapes = jax.tree.map(jnp.shape, kept)
    parts = []
    for piece in np.split(x, np.cumsum(sizes)[:-1], axis=1):
        y, kept = run(kept["stream"], piece, 0)
        parts.append(y)
        assert jax.tree.map(jnp.shape, kept) == shapes
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=1e-5)


def test_only_the_past_context_is_seen(small) -> None:
    net, params, x = small
    changed = x.copy()
    changed[:, 4, 0] += 1
    run = jax.jit(net.apply)
    same = np.asarray(run(params, x) == run(params, changed)).all(axis=(0, 2))
    # Two layers of past context 5 reach ten frames on.
    np.testing.assert_array_equal(same, [t < 4 or t > 14 for t in range(23)])
