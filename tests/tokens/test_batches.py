"""Batches of tokens through Grain: shapes, masks, exact resume, and every clip."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from codax import tokens
from codax.errors import CodaxError
from codax.tokens import shards
from codax.tokens.batches import batches, collate

VOCABULARY = tokens.Vocabulary((32, 32, 32))
LENGTHS = (0, 1, 3, 8, 20, 5)


@pytest.fixture
def records() -> list[dict]:
    """The first codebook has the number of the clip, the second the frame."""
    rng = np.random.default_rng(0)
    return [
        {"id": str(i), "codes": np.stack([np.full(n, i), np.arange(n), rng.integers(0, 32, n)], 1).astype(np.int16)}
        for i, n in enumerate(LENGTHS)
    ]


@pytest.mark.parametrize("name", tokens.LAYOUTS)
def test_batches_hold_crops_of_the_clips(records: list[dict], name: str) -> None:
    layout, seen = tokens.layout(name), set()
    stream = batches(records, VOCABULARY, frames=8, batch=3, arrangement=name, epochs=2)
    for batch in stream:
        restored = VOCABULARY.decode(layout.invert(batch["tokens"], 3))
        assert restored.shape == (3, 8, 3) and batch["tokens"].dtype == np.int32
        np.testing.assert_array_equal(layout.invert(batch["mask"], 3), restored >= 0)
        for crop in restored:
            codes = crop[crop[:, 0] >= 0]
            if len(codes):
                number, start = codes[0, :2]
                assert len(codes) == min(8, LENGTHS[number])
                np.testing.assert_array_equal(codes, records[number]["codes"][start : start + len(codes)])
                seen.add(int(number))
    assert seen == {1, 2, 3, 4, 5}


def test_an_iterator_resumes_exactly(records: list[dict]) -> None:
    stream = batches(records, VOCABULARY, frames=4, batch=2, seed=3)
    iterator = iter(stream)
    for _ in range(3):
        next(iterator)
    state = iterator.get_state()
    expected = [next(iterator)["tokens"] for _ in range(4)]
    other = iter(batches(records, VOCABULARY, frames=4, batch=2, seed=3))
    other.set_state(state)
    np.testing.assert_array_equal([next(other)["tokens"] for _ in range(4)], expected)


def test_whole_clips_as_one_batch(records: list[dict]) -> None:
    ids, mask = collate(records, VOCABULARY, "coarse_fine")
    assert ids.shape == mask.shape == (6, 60)
    for record, row in zip(records, tokens.unpad(ids, mask), strict=True):
        codes = VOCABULARY.decode(tokens.from_coarse_fine(row, 3))
        np.testing.assert_array_equal(codes, record["codes"])


def test_invalid_batches_are_one_line(records: list[dict]) -> None:
    with pytest.raises(CodaxError, match="batches of 7 clips of 4 frames from 6 records"):
        batches(records, VOCABULARY, frames=4, batch=7)
    with pytest.raises(CodaxError, match="unknown layout"):
        batches(records, VOCABULARY, frames=4, batch=2, arrangement="spiral")


def test_a_dataset_of_hugging_face_holds_records(records: list[dict]) -> None:
    datasets = pytest.importorskip("datasets")
    held = datasets.Dataset.from_list([{**r, "codes": r["codes"].tolist()} for r in records[1:]])
    for theirs, ours in zip(
        batches(held, VOCABULARY, frames=8, batch=2, epochs=1),
        batches(records[1:], VOCABULARY, frames=8, batch=2, epochs=1),
        strict=True,
    ):
        np.testing.assert_array_equal(theirs["tokens"], ours["tokens"])


def test_threads_read_parquet_shards_at_once(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    about = {"length": 320, "sample_rate": 16_000, "channels": 1, "frame_rate": 50.0}
    rows = [{"id": str(i), "codes": np.full((40, 3), i, np.int16), **about} for i in range(20 * shards.ROWS)]
    shards.write(tmp_path / "x.parquet", "parquet", rows, tmp_path, "00")
    _, read = shards.open_shard(tmp_path / "x.parquet", "parquet", "00")
    order = np.random.default_rng(0).integers(0, len(rows), 1000)
    with ThreadPoolExecutor(8) as pool:
        for i, record in zip(order, pool.map(read, map(int, order)), strict=True):
            np.testing.assert_array_equal(record["codes"], rows[i]["codes"])
