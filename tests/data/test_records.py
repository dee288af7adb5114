"""Shards: what is written is read, and what is damaged is an error."""

from __future__ import annotations

import numpy as np
import pytest
from codax.data import records
from codax.errors import CodaxError


def write_shard(path, count=5, channels=2):
    samples = [np.full((100 + i, channels), i, np.int16) + np.arange(channels, dtype=np.int16) for i in range(count)]
    with records.ShardWriter(path) as writer:
        for i, one in enumerate(samples):
            assert writer.write({"id": f"n{i}", "sample_rate": 8000, "text": "grün"}, one) == i
    return samples


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.array_record"
    samples = write_shard(path)
    shard = records.Shard(path)
    assert len(shard) == 5
    meta, pcm = shard.pcm(3)
    assert meta == {"id": "n3", "sample_rate": 8000, "text": "grün", "frames": 103, "channels": 2}
    np.testing.assert_array_equal(pcm, samples[3])
    np.testing.assert_array_equal(shard.read(4, 10, 20), samples[4][10:30] / 32768.0)
    assert shard.read(4, 100, 20).shape == (4, 2)
    with pytest.raises(CodaxError, match="no record 5"):
        shard.header(5)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), records.ShardWriter(tmp_path / "a.array_record") as writer:
        writer.write({"sample_rate": 8000}, np.zeros((10, 1), np.int16))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_damaged_shards_are_an_error(tmp_path):
    path = tmp_path / "a.array_record"
    write_shard(path, count=50)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [data[:cut] for cut in (0, 10, 1000, len(data) // 2, len(data) - 1)]
    for position in rng.integers(64, len(data), 40):
        mutated = bytearray(data)
        mutated[position] ^= 0x55
        damaged.append(bytes(mutated))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            shard = records.Shard(path)
            for i in range(len(shard)):
                shard.pcm(i)
        except CodaxError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused >= 5


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"RIFF" + b"\0" * 20,
        b"CDX1\xff\xff\xff\xff{}",
        b"CDX1\x02\x00\x00\x00{}",
        b'CDX1\x32\x00\x00\x00{"sample_rate": 8000, "channels": 1, "frames": 99 }',
    ],
)
def test_foreign_records_are_refused(record):
    with pytest.raises(ValueError, match=r"record|JSON|Expecting"):
        records.decode_header(record)
