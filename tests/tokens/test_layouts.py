"""Layouts of codes: exact inverses on random and ragged batches, and small values by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax import tokens
from codax.errors import CodaxError

OPTIONS = {
    "coarse_fine": [{}, {"groups": ()}, {"groups": (1, 1)}],
    "acoustic_delay": [{}, {"frames": 0}, {"frames": 3}],
}
CASES = [(name, options) for name in tokens.LAYOUTS for options in OPTIONS.get(name, [{}])]
SHAPES = [(5, 4), (1, 4), (0, 4), (5, 2), (1, 1), (0, 1), (2, 5, 4), (3, 1, 2), (0, 5, 3), (2, 3, 6, 8)]


def random_codes(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1024, shape).astype(np.int16)


def usable(options: dict, levels: int) -> bool:
    return sum(options.get("groups", (1,))) <= levels


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_inverse_is_exact(name: str, options: dict, library) -> None:
    layout = tokens.layout(name)
    for seed, shape in enumerate(SHAPES if library is np else SHAPES[::3]):  # JAX compiles every shape
        if usable(options, shape[-1]):
            codes = library.asarray(random_codes(shape, seed))
            laid = layout.apply(codes, **options)
            assert isinstance(laid, np.ndarray if library is np else jax.Array)
            assert laid.ndim == codes.ndim - (not layout.parallel)
            restored = layout.invert(laid, shape[-1], **options)
            assert restored.dtype == codes.dtype
            np.testing.assert_array_equal(restored, codes)
            mask = layout.apply(library.ones(shape, bool), **options)
            assert mask.shape == laid.shape and int(mask.sum()) == codes.size


@pytest.mark.parametrize(("name", "options"), CASES)
def test_jax_gives_what_numpy_gives_under_jit_and_vmap(name: str, options: dict) -> None:
    layout, codes = tokens.layout(name), random_codes((3, 5, 4))
    expected = layout.apply(codes, **options)
    np.testing.assert_array_equal(jax.jit(lambda x: layout.apply(x, **options))(codes), expected)
    np.testing.assert_array_equal(jax.vmap(lambda x: layout.apply(x, **options))(codes), expected)
    restored = jax.jit(lambda x: layout.invert(x, 4, **options))(expected)
    np.testing.assert_array_equal(restored, codes)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("name", "options"), CASES)
def test_ragged_batches_come_back(name: str, options: dict, seed: int) -> None:
    rng, layout = np.random.default_rng(seed), tokens.layout(name)
    levels = max(int(rng.integers(1, 9)), sum(options.get("groups", (1,))))
    vocabulary = tokens.Vocabulary(tuple(int(n) for n in rng.integers(1, 2000, levels)))
    lengths = [0, 1, *rng.integers(0, 20, 4)]
    clips = [rng.integers(0, vocabulary.sizes, (n, levels)) for n in lengths]
    fill = {"fill": vocabulary.pad} if layout.parallel else {}
    laid = [layout.apply(vocabulary.encode(clip), **options, **fill) for clip in clips]
    batch = tokens.pad(laid, value=vocabulary.pad, multiple=8)
    assert batch.tokens.shape[1] % 8 == 0 and batch.tokens.max() < len(vocabulary)
    assert batch.mask.sum(1).tolist() == [len(x) for x in laid]
    for clip, row in zip(clips, tokens.unpad(*batch), strict=True):
        np.testing.assert_array_equal(vocabulary.decode(layout.invert(row, levels, **options)), clip)


@pytest.mark.parametrize("name", [name for name, layout in tokens.LAYOUTS.items() if layout.parallel])
def test_a_padded_batch_is_shifted_as_its_clips(name: str) -> None:
    layout, clips = tokens.layout(name), [random_codes((n, 3)) for n in (4, 0, 1)]
    together = layout.apply(tokens.pad(clips).tokens)
    alone = tokens.pad([layout.apply(clip) for clip in clips]).tokens
    np.testing.assert_array_equal(together, alone)


def test_values_by_hand() -> None:
    codes = np.asarray([[1, 2, 3], [4, 5, 6]])
    assert tokens.flat(codes).tolist() == [1, 2, 3, 4, 5, 6]
    assert tokens.by_level(codes).tolist() == [1, 4, 2, 5, 3, 6]
    assert tokens.coarse_fine(codes).tolist() == [1, 4, 2, 3, 5, 6]
    assert tokens.coarse_fine(codes, (2,)).tolist() == [1, 2, 4, 5, 3, 6]
    assert tokens.delay(codes).T.tolist() == [[1, 4, -1, -1], [-1, 2, 5, -1], [-1, -1, 3, 6]]
    assert tokens.acoustic_delay(codes, fill=9).T.tolist() == [[1, 4, 9], [9, 2, 5], [9, 3, 6]]


# From transformers 5.24, MusicgenForCausalLM.build_delay_pattern_mask (pad 0, after its first step) and
# MoshiForConditionalGeneration.build_delay_pattern_mask (both ends 0), of these codes; see test_layouts_peer.py.
CODES = [[101, 102, 103, 104], [105, 106, 107, 108], [109, 110, 111, 112]]
MUSICGEN = [[101, 105, 109, 0, 0, 0], [0, 102, 106, 110, 0, 0], [0, 0, 103, 107, 111, 0], [0, 0, 0, 104, 108, 112]]
MOSHI = [[101, 105, 109, 0], [0, 102, 106, 110], [0, 103, 107, 111], [0, 104, 108, 112]]


def test_delays_are_those_of_musicgen_and_moshi() -> None:
    assert tokens.delay(np.asarray(CODES), fill=0).T.tolist() == MUSICGEN
    assert tokens.acoustic_delay(np.asarray(CODES), fill=0).T.tolist() == MOSHI


def test_a_vocabulary_has_disjoint_ids() -> None:
    vocabulary = tokens.Vocabulary((3, 2), special=("pad", "bos", "eos", "text"))
    every = np.asarray([[0, 0], [1, 1], [2, tokens.PAD]])
    ids = vocabulary.encode(every)
    assert ids.tolist() == [[4, 7], [5, 8], [6, 0]] and len(vocabulary) == 9 and vocabulary["text"] == 3
    assert vocabulary.decode(ids).tolist() == every.tolist()
    assert ids.dtype == vocabulary.decode(ids.astype(np.int64)).dtype == np.int32
    assert vocabulary.encode(every[:, :1]).tolist() == ids[:, :1].tolist()
    # A model may predict a special token, or an entry of another level.
    assert vocabulary.decode(np.asarray([[2, 8], [7, 6]])).tolist() == [[-1, 1], [-1, -1]]
    np.testing.assert_array_equal(jax.jit(vocabulary.encode)(every), ids)
    np.testing.assert_array_equal(jax.jit(vocabulary.decode)(ids), every)


def test_ends_of_ragged_sequences() -> None:
    vocabulary = tokens.Vocabulary((8,))
    batch = tokens.pad([np.asarray(x, int) for x in ([5, 6], [], [7])], value=vocabulary.pad).tokens
    ended = vocabulary.add_ends(batch)
    assert ended.tolist() == [[1, 5, 6, 2], [1, 2, 0, 0], [1, 7, 2, 0]]
    np.testing.assert_array_equal(vocabulary.remove_ends(ended), batch)
    np.testing.assert_array_equal(jax.jit(vocabulary.add_ends)(batch), ended)
    np.testing.assert_array_equal(jax.jit(vocabulary.remove_ends)(ended), batch)


def test_masks_of_lengths() -> None:
    expected = [[True, True], [False, False], [True, False]]
    assert tokens.mask_of(np.asarray([2, 0, 1]), 2).tolist() == expected
    assert tokens.mask_of(jnp.asarray([2, 0, 1]), 2).tolist() == expected


def test_frames_of_intervals() -> None:
    # Frames of 0.1 s have their middles at 0.05, 0.15, 0.25, ...
    spans = tokens.frame_spans([(0, 0.1), (0.1, 0.25), (0.25, 9), (0.06, 0.14)], 4, 10.0)
    assert spans.tolist() == [[0, 1], [1, 2], [2, 4], [1, 1]]
    assert tokens.frame_spans([], 4, 10.0).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tokens.layout("spiral"), "unknown layout 'spiral': expected one of flat, by_level"),
        (lambda: tokens.flat(np.zeros((3, 2))), "expected integers .* got float64"),
        (lambda: tokens.flat(np.zeros(3, int)), r"expected integers \[\.\.\., frames, quantizers\]"),
        (lambda: tokens.from_flat(np.zeros(7, int), 2), "7 steps are not whole frames of 2 quantizers"),
        (lambda: tokens.from_flat(np.zeros(7, int), 0), "7 steps are not whole frames of 0 quantizers"),
        (lambda: tokens.coarse_fine(np.zeros((3, 2), int), (3,)), "do not divide 2"),
        (lambda: tokens.from_delay(np.zeros((1, 4), int)), "1 steps are fewer than the delay of 3"),
        (lambda: tokens.from_delay(np.zeros((9, 4), int), 3), "expected 3 quantizers on the last axis, got 4"),
        (lambda: tokens.acoustic_delay(np.zeros((9, 4), int), frames=-1), "a delay of -1 frames is negative"),
        (lambda: tokens.delay(np.zeros((9, 4), np.uint8)), "uint8 cannot hold the fill -1"),
        (lambda: tokens.pad([]), "expected sequences"),
        (lambda: tokens.pad([np.zeros((2, 3), int), np.zeros((2, 4), int)]), "expected sequences"),
        (lambda: tokens.pad([np.zeros(2, np.uint16)]), "uint16 cannot hold the value -1"),
        (lambda: tokens.Vocabulary(()), "not positive"),
        (lambda: tokens.Vocabulary((2,), ("pad", "pad")), "have a name twice"),
        (lambda: tokens.Vocabulary((2,))["mask"], "no special token 'mask', only pad, bos, eos"),
        (
            lambda: tokens.Vocabulary((2,)).encode(np.zeros((3, 2), int)),
            "expected 1 quantizers on the last axis, got 2",
        ),
    ],
)
def test_invalid_input_is_one_line(call, message: str) -> None:
    with pytest.raises(CodaxError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
