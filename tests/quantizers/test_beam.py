"""Beam search through the levels of a residual quantizer."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config, EMAQuantizerConfig
from codax.errors import ConfigError
from codax.quantizers import beam_search, rvq

LEVELS, ENTRIES, DIMENSION = 3, 6, 4


@pytest.fixture(scope="module")
def problem():
    """Vectors [n, dimension] and codebooks [levels, entries, dimension] that shrink from level to level."""
    x = jax.random.normal(jax.random.key(0), (200, DIMENSION))
    sizes = jnp.asarray([1.0, 0.7, 0.5])[:, None, None]
    return x, sizes * jax.random.normal(jax.random.key(1), (LEVELS, ENTRIES, DIMENSION))


def errors(x, books, codes):
    """Squared error [n] of codes [levels, n]."""
    decoded = sum(book[c] for book, c in zip(books, codes, strict=True))
    return np.sum((np.asarray(x) - np.asarray(decoded)) ** 2, axis=-1)


def searched(x, books, width):
    """The same search in plain Python, one vector at a time."""
    x, books = np.asarray(x, np.float64), np.asarray(books, np.float64)
    rows = []
    for vector in x:
        paths = [((), vector)]
        for book in books:
            grown = [((*codes, i), left - entry) for codes, left in paths for i, entry in enumerate(book)]
            paths = sorted(grown, key=lambda path: float(path[1] @ path[1]))[:width]
        rows.append(paths[0][0])
    return np.asarray(rows).T


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_equals_the_search_in_plain_python(problem, width):
    np.testing.assert_array_equal(beam_search.encode(*problem, width), searched(*problem, width))


def test_width_1_is_the_greedy_search(problem):
    np.testing.assert_array_equal(beam_search.encode(*problem, 1), rvq.encode(*problem))


def test_a_wide_beam_finds_the_best_codes_of_all(problem):
    x, books = problem
    every = np.asarray(list(itertools.product(range(ENTRIES), repeat=2))).T
    of_all = np.stack([errors(x, books[:2], np.repeat(pair[:, None], len(x), 1)) for pair in every.T])
    actual = errors(x, books[:2], beam_search.encode(x, books[:2], ENTRIES))  # every first entry has a path of its own
    np.testing.assert_allclose(actual, of_all.min(axis=0), rtol=1e-5)


def test_error_falls_with_the_width(problem):
    means = [errors(*problem, beam_search.encode(*problem, width)).mean() for width in (1, 2, 4)]
    assert means[0] > 1.02 * means[1] > 1.02 * means[2]


def test_quantizer_codes_with_the_beam_of_its_config(problem):
    """With a split quantizer each of its stacks is searched separately; training continues with the nearest entries."""
    x, books = problem
    config = EMAQuantizerConfig(num_quantizers=LEVELS, codebook_size=ENTRIES, semantic=1, beam=4)
    quantizer = rvq.ResidualVectorQuantizer(config, DIMENSION)
    codebook = {"embedding": books, "total": books, "count": jnp.ones((LEVELS, ENTRIES)), "initialised": jnp.ones(())}
    variables = {"codebook": codebook}
    codes = quantizer.apply(variables, x[None], method="encode")[0].T
    np.testing.assert_array_equal(codes[:1], rvq.encode(x, books[:1]))
    np.testing.assert_array_equal(codes[1:], beam_search.encode(x, books[1:], 4))
    one = quantizer.apply(variables, x[None], 1, method="encode")[0].T
    np.testing.assert_array_equal(one, codes[:1])
    trained = quantizer.apply(variables, x[None], levels=jnp.full(1, LEVELS), key=jax.random.key(0), update=False)
    np.testing.assert_array_equal(trained.codes[0].T[1:], rvq.encode(x, books[1:]))


@pytest.mark.parametrize(
    "fields",
    [{"beam": 0}, {"beam": 17, "codebook_size": 16}, {"beam": 2, "normalise": True}],
)
def test_a_beam_that_cannot_be_is_refused(fields):
    config = Config()
    for name, value in fields.items():
        setattr(config.quantizer, name, value)
    with pytest.raises(ConfigError, match=r"quantizer\.beam"):
        config.validate()
