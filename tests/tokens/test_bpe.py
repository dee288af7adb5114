"""Acoustic BPE: exact, deterministic, shorter, and strict about its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax.errors import CodaxError

pytest.importorskip("tokenizers")
from codax.tokens.bpe import AcousticBPE, rates

SIZE = 32


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Codes that are held for some frames, and follow each other in a few orders."""
    rng, words = np.random.default_rng(0), np.random.default_rng(1).integers(0, SIZE, (6, 5))
    return [np.repeat(words[rng.integers(0, 6, 12)].reshape(-1), rng.integers(1, 3, 60)) for _ in range(20)]


@pytest.fixture(scope="module")
def bpe(clips: list[np.ndarray]) -> AcousticBPE:
    return AcousticBPE.train(clips, SIZE, 100)


def test_it_is_exact_for_seen_and_unseen_codes(bpe: AcousticBPE, clips: list[np.ndarray], tmp_path: Path) -> None:
    bpe.save(tmp_path / "bpe.json")
    loaded = AcousticBPE.load(tmp_path / "bpe.json")
    assert len(loaded) == len(bpe) == 100
    noise = np.random.default_rng(2).integers(0, SIZE, 300).astype(np.int16)
    for codes in (*clips, noise, noise[:1], noise[:0]):
        ids = bpe.encode(codes)
        np.testing.assert_array_equal(bpe.decode(ids), codes)
        np.testing.assert_array_equal(loaded.encode(codes), ids)
        assert bpe.lengths(ids).sum() == len(codes)


def test_it_saves_tokens_and_is_deterministic(bpe: AcousticBPE, clips: list[np.ndarray]) -> None:
    before, after = rates(bpe, clips, 50.0)
    assert before == 50.0 and after < 25.0
    assert before == rates(AcousticBPE.train(clips, SIZE, SIZE), clips, 50.0)[1]
    other = AcousticBPE.train(clips, SIZE, 100)
    assert all(np.array_equal(other.encode(x), bpe.encode(x)) for x in clips)


def test_the_package_reads_its_files(bpe: AcousticBPE, clips: list[np.ndarray], tmp_path: Path) -> None:
    import tokenizers

    bpe.save(tmp_path / "bpe.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "bpe.json"))
    text = "".join(chr(0xF0000 + code) for code in clips[0])
    assert theirs.encode(text).ids == bpe.encode(clips[0]).tolist()


def test_invalid_input_is_one_line(bpe: AcousticBPE, tmp_path: Path) -> None:
    with pytest.raises(CodaxError, match="31 tokens are fewer than the 32 entries"):
        AcousticBPE.train([], SIZE, 31)
    for codes in ([32], [-1], [[1, 2]], [0.5]):
        with pytest.raises(CodaxError, match="expected integers"):
            bpe.encode(np.asarray(codes))
    with pytest.raises(CodaxError, match="from 0 to 99"):
        bpe.decode(np.asarray([100]))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(normalizer={"type": "NFC"}),
        lambda content: content["model"]["vocab"].update(a=100),
        lambda content: content["model"]["vocab"].update({"\U000f0000": 7}),
        lambda content: content["model"]["vocab"].update({"\U000f0000\U000f0001\U000f0000\U000f0003": 1 << 40}),
        lambda content: content["model"].update(merges=[["x", "y"]]),
        lambda content: content["model"].update(vocab=[]),
        lambda content: content["model"].update(type="WordLevel"),
        lambda content: content["model"].update(continuing_subword_prefix="#"),
        lambda content: content["model"].update(merges=3),
        lambda content: content.update(model=None),
        lambda content: content.clear(),
    ],
)
def test_other_files_are_rejected(bpe: AcousticBPE, tmp_path: Path, change) -> None:
    path = tmp_path / "bpe.json"
    bpe.save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CodaxError, match=r"bpe\.json: not a") as error:
        AcousticBPE.load(path)
    assert "\n" not in str(error.value)
    with pytest.raises(CodaxError, match=r"none\.json: not a readable acoustic BPE"):
        AcousticBPE.load(tmp_path / "none.json")
