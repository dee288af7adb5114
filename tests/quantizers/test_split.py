"""The split quantizer of Mimi: two stacks with projections, examples without quantization, few frames, dead entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import EMAQuantizerConfig
from codax.quantizers import codebook as cb
from codax.quantizers import rvq

LEVELS, DIMENSION = 4, 6


@pytest.fixture(scope="module")
def split():
    config = EMAQuantizerConfig(
        num_quantizers=LEVELS, codebook_size=8, kmeans_iterations=5, semantic=1, projection=3, smoothing=False,
        dead_ratio=0.1,
    )  # fmt: skip
    quantizer = rvq.ResidualVectorQuantizer(config, DIMENSION)
    x = jax.random.normal(jax.random.key(0), (4, 30, DIMENSION))
    key = jax.random.key(1)
    variables = quantizer.init(key, x, levels=jnp.full(4, LEVELS), key=key, update=False)
    _, books = quantizer.apply(variables, x, key, method="initialise", mutable=["codebook"])
    return quantizer, {**variables, **books}, x


def run(split, levels, **options):
    quantizer, variables, x = split
    arguments = {"levels": jnp.asarray(levels), "key": jax.random.key(2), "update": False} | options
    return quantizer.apply(variables, x, mutable=["codebook"], **arguments)


def test_the_output_is_the_sum_of_both_stacks(split) -> None:
    quantizer, variables, x = split
    params, books = variables["params"], variables["codebook"]["embedding"]
    codes = quantizer.apply(variables, x, method="encode")
    decoded = quantizer.apply(variables, codes, method="decode")
    expected = 0
    for name, levels in (("semantic", [0]), ("acoustic", [1, 2, 3])):
        left = inner = np.asarray(x @ params[f"inward_{name}"]["kernel"])
        for level in levels:  # each stack quantizes the input itself, not what the other one leaves
            distance = ((left[:, :, None] - books[level]) ** 2).sum(-1)
            np.testing.assert_array_equal(codes[..., level], distance.argmin(-1))
            left = left - books[level][codes[..., level]]
        expected = expected + (inner - left) @ params[f"outward_{name}"]["kernel"]
    np.testing.assert_allclose(decoded, expected, atol=1e-5)
    for n in range(1, LEVELS + 1):
        np.testing.assert_array_equal(quantizer.apply(variables, x, n, method="encode"), codes[..., :n])
    alone = quantizer.apply(variables, codes[..., :1], method="decode")
    np.testing.assert_allclose(alone, books[0][codes[..., 0]] @ params["outward_semantic"]["kernel"], atol=1e-5)


def test_training_equals_encoding_and_names_the_first_level(split) -> None:
    quantizer, variables, x = split
    out, _ = run(split, [LEVELS, LEVELS, 2, 3])
    codes = quantizer.apply(variables, x, method="encode")
    np.testing.assert_array_equal(out.codes, codes)
    for example, levels in enumerate([LEVELS, LEVELS, 2, 3]):
        expected = quantizer.apply(variables, codes[example, None, :, :levels], method="decode")[0]
        np.testing.assert_allclose(out.quantized[example], expected, atol=1e-5)
    np.testing.assert_allclose(out.first, quantizer.apply(variables, codes[..., :1], method="decode"), atol=1e-5)


def test_examples_without_quantization_still_teach_the_codebooks(split) -> None:
    _, variables, x = split
    bypass = jnp.array([True, False, False, True])
    free, moved = run(split, [LEVELS] * 4, bypass=bypass, update=True)
    bound, same = run(split, [LEVELS] * 4, update=True)
    params = variables["params"]
    whole = sum(
        x @ params[f"inward_{n}"]["kernel"] @ params[f"outward_{n}"]["kernel"] for n in ("semantic", "acoustic")
    )
    np.testing.assert_allclose(free.quantized[bypass], whole[bypass], atol=1e-5)
    np.testing.assert_array_equal(free.quantized[1:3], bound.quantized[1:3])
    np.testing.assert_array_equal(free.first, bound.first)
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_projections_are_trained(split) -> None:
    quantizer, variables, x = split

    def loss(params, levels):
        out, _ = quantizer.apply(
            {**variables, "params": params}, x, levels=levels, key=jax.random.key(0), update=False, mutable=["codebook"]
        )
        return jnp.sum(out.quantized**2) + out.commitment

    gradients = jax.grad(loss)(variables["params"], jnp.full(4, LEVELS))
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradients))


def test_dropout_leaves_the_semantic_level_and_one_more() -> None:
    drawn = np.asarray(rvq.draw_levels(jax.random.key(0), 4_000, 8, 1))
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(2, 9))
    assert counts.min() > 0.7 * 4_000 / 7


def test_few_frames_leave_something_for_every_level() -> None:
    """With an entry for each frame the first level would leave zeros, and the others would learn those."""
    x = jax.random.normal(jax.random.key(0), (20, 3))
    size = {}
    for alternate in (False, True):
        config = EMAQuantizerConfig(codebook_size=32, kmeans_iterations=10, kmeans_alternate=alternate)
        state = rvq.initialise(x, jax.random.key(1), 4, config, None)
        size[alternate] = np.linalg.norm(np.asarray(state.embedding), axis=-1).mean(axis=-1)
    assert size[True][1:].min() > 0.1 * size[True][0]
    assert size[False][1:].max() < 0.1 * size[True][0]


def test_dead_entries_by_their_share_of_the_mean() -> None:
    count = jnp.asarray([[10.0, 0.9, 3.0, 6.1], [0.1, 0.2, 0.1, 0.2]])  # means 5 and 0.15
    books = jnp.zeros((2, 4, 2))
    state = cb.CodebookState(books, books, count)
    frames = jnp.ones((2, 4, 2))
    after, dead = cb.revive_dead(state, frames, threshold=2.0, ratio=0.2)
    np.testing.assert_array_equal(dead, [1, 0])
    np.testing.assert_allclose(after.count[0], [10, 5, 3, 6.1], rtol=1e-6)
    np.testing.assert_allclose(after.total[0, 1], [5, 5], rtol=1e-6)
    _, none = cb.revive_dead(state, frames, threshold=2.0, ratio=0.2, enabled=jnp.asarray(False))
    np.testing.assert_array_equal(none, [0, 0])


def test_without_smoothing_an_entry_is_its_sum_by_its_count() -> None:
    state = cb.CodebookState(jnp.zeros((1, 2, 1)), jnp.asarray([[[4.0], [9.0]]]), jnp.asarray([[2.0, 3.0]]))
    count, total = jnp.asarray([[1.0, 0.0]]), jnp.asarray([[[10.0], [0.0]]])
    after = cb.moving_average(state, count, total, decay=0.5, epsilon=1e-5, smoothing=False)
    np.testing.assert_allclose(after.embedding[0, :, 0], [7.0 / 1.5, 4.5 / 1.5], rtol=1e-6)
