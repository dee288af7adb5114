"""Sequences of clips of one voice: every place comes from a clip, and iterators resume exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax.config import Config
from codax.errors import CodaxError
from codax.tokens import shards
from codax.tokens.dataset import KIND, NAME, VERSION
from codax.tokens.packing import Packed, packed_batches, validation_codes

LENGTHS = (0, 1, 3, 8, 50, 5)
HASH = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of two voices: the first codebook has the number of the clip, the second the frame."""
    rows = [
        {
            "id": str(i),
            "codes": np.stack([np.full(n, i), np.arange(n), np.zeros(n)], 1).astype("<i2"),
            **{"length": max(n, 1) * 320, "sample_rate": 16_000, "channels": 1, "frame_rate": 50.0},
            **({"speaker": f"voice{i % 2}"} if i < 4 else {"language": "en"}),
        }
        for i, n in enumerate(LENGTHS)
    ]
    splits = {"train": rows, "validation": rows[:1]}
    about = {"kind": KIND, "version": VERSION, "format": "arrayrecord", "model": "m", "hash": HASH}
    about |= {"codebook_sizes": [64] * 3, "splits": {name: {} for name in splits}, "shards": {}}
    (tmp_path / "work").mkdir()
    for name, part in splits.items():
        path = tmp_path / f"{name}-00000-00.array_record"
        about["shards"][path.name] = shards.write(path, "arrayrecord", part, tmp_path / "work", HASH)
    (tmp_path / NAME).write_text(json.dumps(about))
    return tmp_path


def runs(codes: np.ndarray) -> list[np.ndarray]:
    """The pieces of single clips in a sequence."""
    starts = np.flatnonzero((np.diff(codes[:, 0]) != 0) | (np.diff(codes[:, 1]) != 1)) + 1
    return np.split(codes, starts)


def test_sequences_are_clips_of_one_voice(folder: Path) -> None:
    packed = Packed(folder, "train", 20, 2)
    assert len(packed) == 5 and packed.frames(3) == 50
    rng, seen = np.random.default_rng(0), set()
    for index in range(len(packed)):
        for _ in range(10):
            codes = packed(index, rng)["codes"]
            assert codes.shape == (20, 2) and codes.dtype == np.int32
            first, *rest = pieces = runs(codes)
            assert all(piece[0, 1] == 0 for piece in rest)
            assert all(len(piece) == LENGTHS[piece[0, 0]] for piece in pieces[:-1] if LENGTHS[piece[0, 0]] < 20)
            assert first[0, 1] == 0 or len(first) == 20  # only long clips are cut at their start
            voices = {number % 2 if number < 4 else 2 for number in codes[:, 0]}
            assert len(voices) == 1
            seen.update(codes[:, 0])
    assert seen == {1, 2, 3, 4, 5}


def test_batches_resume_exactly_and_do_not_depend_on_processes(folder: Path) -> None:
    config = Config()
    config.train.batch_size, config.train.eval_batches = 4, 3

    def batches(size: int, **share: int):
        return packed_batches(Packed(folder, "train", 20, 3), config, batch_size_per_process=size, seed=3, **share)

    whole, first, second = batches(4), batches(2, process_count=2), batches(2, process_count=2, process_index=1)
    for _ in range(3):
        expected = next(whole)["codes"]
        np.testing.assert_array_equal(np.concatenate([next(first)["codes"], next(second)["codes"]]), expected)
    resumed = batches(4)
    resumed.set_state(whole.get_state())
    np.testing.assert_array_equal(next(resumed)["codes"], next(whole)["codes"])
    a, b = (validation_codes(Packed(folder, "train", 20, 3), config) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert np.shape(a) == (3, 4, 20, 3)
    for each in (whole, first, second, resumed):
        each.close()


def test_unusable_data_sets(folder: Path) -> None:
    with pytest.raises(CodaxError, match="has codes of 3 quantizers, not of 4"):
        Packed(folder, "train", 20, 4)
    with pytest.raises(CodaxError, match="split 'validation' have no codes"):
        Packed(folder, "validation", 20, 3)
