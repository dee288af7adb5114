"""ABX errors: distances by hand and by search, and cases whose errors are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from codax.metrics.abx import Abx, Instance, distances


def turn(*degrees: float) -> np.ndarray:
    """Unit vectors [frames, 2] at these angles, of various lengths."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + np.arange(len(degrees)))[:, None]


def slow_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The least sum of angles over all paths, divided by the length of the path that has it."""
    norm = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    angle = np.arccos(np.clip(norm(a) @ norm(b).T, -1, 1)) / np.pi
    best = (np.inf, 1)
    for count in range(max(angle.shape), sum(angle.shape)):
        for moves in itertools.product(((1, 1), (1, 0), (0, 1)), repeat=count - 1):
            path = np.cumsum([(0, 0), *moves], axis=0)
            if tuple(path[-1]) == (angle.shape[0] - 1, angle.shape[1] - 1):
                best = min(best, (sum(angle[i, j] for i, j in path), count))
    return best[0] / best[1]


def test_distances_by_hand() -> None:
    actual = distances([turn(0), turn(0, 0), turn(0, 90)], [turn(90), turn(180, 180, 180), turn(0, 0, 90, 90)])
    np.testing.assert_allclose(actual, [0.5, 1.0, 0.0], atol=1e-3)


def test_distances_are_those_of_the_best_path() -> None:
    rng = np.random.default_rng(0)
    first = [rng.standard_normal((n, 3)) for n in (1, 2, 3, 3, 4)]
    second = [rng.standard_normal((n, 3)) for n in (3, 3, 2, 4, 3)]
    expected = [slow_distance(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(distances(first, second), expected, atol=1e-6)


def messages(phone: str, degrees: float, speaker: str = "", utterance: int = 0, neighbours=None) -> Instance:
    return Instance(phone, neighbours, speaker, utterance, turn(degrees))


def test_errors_by_hand() -> None:
    # X of a: 0 is nearer to 20 than to 30, 20 nearer to 30. X of b: 30 is nearer to 20 than to 80, 80 is nearer to 30.
    instances = [messages("a", 0), messages("a", 20), messages("b", 30), messages("b", 80)]
    # a: for X = 0, A = 20, B in 30, 80: no error. For X = 20, A = 0 (20 away), B = 30 (10) is an error, B = 80 not.
    # b: for X = 30, A = 80 (50), B = 20 (10) and 0 (30) are errors. For X = 80, A = 30 (50), B 60 and 80 away are none.
    a, b = (0 + 0.5) / 2, (1 + 0) / 2
    assert Abx(instances).error() == pytest.approx((a + b) / 2)
    # The same distance is half an error: codes that say nothing err in half of all cases.
    assert Abx([messages(x, 10) for x in "aabb"]).error() == 0.5


def test_what_can_be_compared() -> None:
    assert Abx([]).error() is None
    assert Abx([messages("a", 0), messages("a", 1)]).error() is None
    # A single a has no second one, b does.
    assert Abx([messages("a", 0), messages("b", 50), messages("b", 51)]).error() == 0
    # Other neighbours, or another speaker, are not compared.
    assert (
        Abx(
            [messages("a", 0, neighbours="x"), messages("a", 1, neighbours="y"), messages("b", 2, neighbours="x")]
        ).error()
        is None
    )
    assert Abx([messages("a", 0, "s"), messages("a", 1, "t"), messages("b", 2, "s")]).error() is None
    # Across speakers A and B are one's, X is the other's: a of t lies by b of s.
    across = [messages("a", 0, "s"), messages("b", 40, "s"), messages("a", 30, "t")]
    assert Abx(across).error(across=True) == 1
    assert Abx([messages("a", 0, "s"), messages("b", 40, "s"), messages("a", 10, "t")]).error(across=True) == 0
    assert Abx(across).error() is None


def test_an_utterance_can_be_left_out() -> None:
    instances = [
        messages("a", 0),
        messages("a", 10),
        messages("b", 50),
        messages("b", 52),
        messages("a", 51, utterance=1),
    ]
    abx = Abx(instances)
    assert abx.error() > 0
    assert abx.error(without=1) == 0
    assert abx.error(without=0) is None


def test_many_of_a_kind_are_drawn_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    instances = [messages(phone, rng.uniform(0, 180)) for phone in "ab" for _ in range(60)]
    one, repeated, other = (Abx(instances, seed=seed).error() for seed in (0, 0, 1))
    assert one == repeated != other
    assert one == pytest.approx(0.5, abs=0.1)
