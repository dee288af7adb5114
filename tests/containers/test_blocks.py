"""Entropy-coded containers: exact round trips, savings where there are any, damage that ends with its block."""

import dataclasses
import tracemalloc
import zlib

import numpy as np
import pytest
from codax.containers import container
from codax.containers.blocks import new_coding
from codax.containers.container import ContainerError, Meta
from codax.containers.streamed import ContainerReader, ContainerWriter
from codax.entropy import coding
from codax.entropy.adaptive import AdaptiveModel

SYMBOLS = 64


def _counts(levels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1.0, (levels, SYMBOLS)).astype(np.float32) ** 3


def _codes(streams: int, frames: int, levels: int, seed: int = 0) -> np.ndarray:
    """Codes that are drawn as `_counts` says."""
    p = _counts(levels).astype(np.float64)
    rng = np.random.default_rng(seed)
    columns = [rng.choice(SYMBOLS, (streams, frames), p=row / row.sum()) for row in p]
    return np.stack(columns, axis=-1).astype(np.int32)


def _meta(model: AdaptiveModel, streams: int, levels: int, block_frames: int = 50, scaled: bool = False) -> Meta:
    meta = Meta("tiny", b"12345678", 8000, streams, 8000, SYMBOLS, levels, streams, scaled=scaled)
    return dataclasses.replace(meta, coding=new_coding("adaptive", model, block_frames))


def _write(path, codes: np.ndarray, *, cuts=(), block_frames: int = 50, scales=None) -> Meta:
    streams, _, levels = codes.shape
    model = AdaptiveModel(_counts(levels), streams)
    meta = _meta(model, streams, levels, block_frames, scaled=scales is not None)
    with ContainerWriter(path, meta, model) as writer:
        for part in np.split(codes, cuts, axis=1):
            writer.write(part)
        writer.num_samples, writer.scales = meta.num_samples, scales
    return writer.meta


def _read(path, levels: int, streams: int = 1, frames: int = 33, conceal: bool = False) -> np.ndarray:
    with ContainerReader(path, conceal=conceal) as reader:
        return np.concatenate(list(reader.blocks(frames, AdaptiveModel(_counts(levels), streams))), axis=1)


def test_a_thousand_sequences_come_back() -> None:
    rng = np.random.default_rng(0)
    model = AdaptiveModel(_counts(3), 1)
    blocks = [rng.integers(0, SYMBOLS, (int(rng.integers(1, 40)), 3)) for _ in range(1000)]
    blocks = [np.sort(block, axis=0) if i % 2 else block for i, block in enumerate(blocks)]
    for first in range(0, 1000, 50):
        some = blocks[first : first + 50]
        messages = coding.encode_blocks(model, some)
        actual = coding.decode_blocks(model, messages, [len(block) for block in some])
        for block, repeated in zip(some, actual, strict=True):
            np.testing.assert_array_equal(repeated, block)
        # What stands beside a block changes nothing.
        assert coding.encode_blocks(model, some[7:8]) == messages[7:8]


@pytest.mark.parametrize(("streams", "frames", "levels"), [(1, 1, 1), (1, 1000, 3), (2, 849, 2), (3, 50, 1)])
def test_files_come_back(tmp_path, streams, frames, levels):
    codes = _codes(streams, frames, levels)
    path = tmp_path / "a.codax"
    scales = np.random.default_rng(0).uniform(0, 1, (streams, 1)).astype(np.float32)
    meta = _write(path, codes, cuts=[0, 1, 1 + frames // 3], scales=scales)
    assert path.stat().st_size == meta.file_bytes
    assert meta.blocks == -(-frames // 50)
    other = tmp_path / "b.codax"
    _write(other, codes, scales=scales)
    assert other.read_bytes() == path.read_bytes()
    for count in (1, 33, 50, 5000):
        np.testing.assert_array_equal(_read(path, levels, streams, count), codes)
    with ContainerReader(path) as reader:
        assert (reader.meta, reader.damaged) == (meta, [])
        np.testing.assert_array_equal(reader.scales(), scales)
        with pytest.raises(ContainerError, match="a model of them is needed"):
            next(reader.blocks(10))
    with ContainerReader(path) as reader, pytest.raises(ContainerError, match="other frequencies"):
        next(reader.blocks(10, AdaptiveModel(_counts(levels, 1), streams)))


def test_an_empty_file(tmp_path):
    path = tmp_path / "a.codax"
    model = AdaptiveModel(_counts(2), 1)
    with ContainerWriter(path, dataclasses.replace(_meta(model, 1, 2), num_samples=0), model):
        pass
    with ContainerReader(path) as reader:
        assert list(reader.blocks(10, model)) == []


def test_entropy_coding_needs_its_model(tmp_path):
    meta = dataclasses.replace(_meta(AdaptiveModel(_counts(2), 1), 1, 2), num_samples=0)
    with pytest.raises(ContainerError, match=r"a\.codax: entropy coding needs a model of the codes"):
        ContainerWriter(tmp_path / "a.codax", meta)
    with pytest.raises(ContainerError, match="entropy coding needs a model of the codes"):
        container.pack(_codes(1, 10, 2), meta)
    assert not list(tmp_path.iterdir())


def test_likely_codes_take_fewer_bits(tmp_path):
    codes = _codes(1, 4000, 3)
    meta = _write(tmp_path / "a.codax", codes, block_frames=1000)
    p = _counts(3).astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    entropy = -np.sum(p * np.log2(p)) * 4000 / 8
    assert entropy < meta.code_bytes < 1.03 * entropy + 4 * 24
    # Codes that training never told of are learned on the way.
    rare = np.full((1, 4000, 3), int(_counts(3)[0].argmin()), np.int32)
    assert _write(tmp_path / "b.codax", rare, block_frames=1000).code_bytes < 0.2 * meta.packed_bytes


def test_damage_ends_with_its_block(tmp_path):
    codes = _codes(1, 220, 2)
    path = tmp_path / "a.codax"
    meta = _write(path, codes)
    data = path.read_bytes()
    assert meta.coding is not None
    start = container.parse_header(data, len(data))[1]
    first_table = start + meta.coding.coded_bytes
    sizes = [int.from_bytes(data[first_table + 8 * i :][:4], "little") for i in range(5)]
    for number in range(5):
        hit = bytearray(data)
        hit[start + sum(sizes[:number]) + 3] ^= 0xFF
        path.write_bytes(hit)
        stop = min(50 * (number + 1), 220)
        with pytest.raises(ContainerError, match=rf"a\.codax: damaged in block {number} \(.* s\) of 5"):
            ContainerReader(path)
        with ContainerReader(path, conceal=True) as reader:
            assert reader.damaged == [(50 * number, stop)]
        actual = _read(path, 2, conceal=True)
        before = codes[:, 50 * number - 1] if number else np.zeros((1, 2), np.int32)
        expected = codes.copy()
        expected[:, 50 * number : stop] = before[:, None]
        np.testing.assert_array_equal(actual, expected)
    swapped = bytearray(data)  # two blocks of one length that changed places are damaged both
    swapped[start : start + sizes[0]] = data[start + sizes[0] : start + 2 * sizes[0]]
    path.write_bytes(swapped)
    with ContainerReader(path, conceal=True) as reader:
        assert reader.damaged[0] == (0, 50)


def test_mutated_files_are_refused_or_concealed(tmp_path):
    codes = _codes(1, 120, 2)
    path = tmp_path / "a.codax"
    _write(path, codes)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    concealed = 0
    for trial in range(600):
        mutated = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            mutated[rng.integers(0, len(data))] ^= int(rng.integers(1, 256))
        if trial % 5 == 0:
            del mutated[rng.integers(0, len(data)) :]
        path.write_bytes(mutated)
        if bytes(mutated) == data:
            continue
        with pytest.raises(ContainerError):
            ContainerReader(path)
        try:
            actual = _read(path, 2, conceal=True)
        except ContainerError:
            continue
        with ContainerReader(path, conceal=True) as reader:
            for first, stop in reader.damaged:
                actual[:, first:stop] = codes[:, first:stop]
        np.testing.assert_array_equal(actual, codes)
        concealed += 1
    assert concealed > 100


def _forge(data: bytes, coding_change, coded: bytes | None = None) -> bytes:
    """A file with other coding fields and block, all checksums right."""
    meta, start = container.parse_header(data, len(data))
    assert meta.coding is not None
    coded = data[start : start + meta.coding.coded_bytes] if coded is None else coded
    changed = dataclasses.replace(meta.coding, coded_bytes=len(coded), **coding_change.pop("coding", {}))
    meta = dataclasses.replace(meta, coding=changed, **coding_change)
    table = len(coded).to_bytes(4, "little") + zlib.crc32(coded, 0).to_bytes(4, "little")
    payload = coded + table + zlib.crc32(table).to_bytes(4, "little")
    return container.serialize_header(meta) + payload + zlib.crc32(payload).to_bytes(4, "little")


def test_forged_files_cost_nothing(tmp_path):
    path = tmp_path / "a.codax"
    _write(path, _codes(1, 40, 2))
    data = path.read_bytes()
    tracemalloc.start()
    try:
        for change, coded, reason in [
            ({"frames": 60_000, "coding": {"block_frames": 60_000}}, None, "bytes cannot hold 120000 codes"),
            ({}, b"short", "impossible blocks"),
            ({}, b"no words, that", "bytes cannot hold"),
            ({}, bytes(80), "was not coded"),
        ]:
            try:
                path.write_bytes(_forge(data, change, coded))
            except ContainerError as error:
                assert reason in str(error)
                continue
            with pytest.raises(ContainerError, match=reason):
                _read(path, 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    with pytest.raises(ContainerError, match="impossible frames"):
        _forge(data, {"frames": 2**32 - 1})
    with pytest.raises(ContainerError, match="impossible blocks"):
        _forge(data, {"frames": 2**32 - 1, "num_samples": 2**40 - 1})
    with pytest.raises(ContainerError, match="method 9 is newer"):
        _forge(data, {"coding": {"method": 9}})
