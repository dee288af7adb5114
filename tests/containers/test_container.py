"""The container: exact round trips, the size promise, and a clear error for every damaged byte string."""

import dataclasses
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from codax.containers import container
from codax.containers.container import ContainerError, Meta, pack
from codax.containers.streamed import ContainerReader, ContainerWriter
from packed_files import unpack


def _meta(**changes) -> Meta:
    values = {
        "model_id": "quickstart",
        "model_hash": bytes(range(1, 9)),
        "sample_rate": 44_100,
        "channels": 1,
        "num_samples": 1000,
        "codebook_size": 1024,
    }
    return Meta(**(values | changes))


def _codes(streams, frames, quantizers, size=1024, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, size, (streams, frames, quantizers)).astype(np.int32)


def _forge(data: bytes, offset: int, value: bytes) -> bytes:
    """Overwrites header bytes and makes the header checksum right again."""
    data = bytearray(data)
    data[offset : offset + len(value)] = value
    end = container.FIXED.size + data[30]
    data[end : end + 4] = zlib.crc32(bytes(data[:end])).to_bytes(4, "little")
    return bytes(data)


def test_bytes_computed_by_hand():
    codes = np.array([[[1, 2], [1023, 0]]])
    data = pack(codes, _meta(model_id="m", num_samples=600))
    header = (
        b"\xc0\xdax\x01\x00" + bytes(range(1, 9)) + b"\x44\xac\x00" + b"\x58\x02\x00\x00\x00"
        b"\x01\x01\x02\xff\x03" + b"\x02\x00\x00\x00" + b"\x01m"
    )
    payload = bytes([0x01, 0x08, 0xF0, 0x3F, 0x00])
    expected = header + zlib.crc32(header).to_bytes(4, "little") + payload + zlib.crc32(payload).to_bytes(4, "little")
    assert data == expected


def test_fields_of_channels_computed_by_hand():
    """Bits of the flags, and behind the name the stream of each channel, if there are several streams."""
    plain = pack(_codes(2, 3, 2), _meta(model_id="m", channels=2))
    mid_side = pack(_codes(2, 3, 2), _meta(model_id="m", channels=2, mid_side=True))
    assert (plain[4], mid_side[4]) == (0, 8)
    assert mid_side == _forge(plain, 4, b"\x08")
    equal = pack(_codes(1, 3, 2), _meta(model_id="m", channels=2, shared=(0, 0)))
    assert (equal[4], equal[21:23], len(equal)) == (16, b"\x02\x01", len(pack(_codes(1, 3, 2), _meta(model_id="m"))))
    some = pack(_codes(2, 3, 2), _meta(model_id="m", channels=3, shared=(0, 1, 0)))
    assert some[4] == 16
    assert some[31:35] == b"m\x00\x01\x00"
    assert container.header_bytes(some) == 35 + 1 + 3


def test_streams_are_interleaved_frame_by_frame():
    codes = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])  # [streams, frames, quantizers]
    data = pack(codes, _meta(model_id="", channels=2, codebook_size=256))
    assert data[35 : 35 + 8] == bytes([1, 2, 5, 6, 3, 4, 7, 8])


def test_round_trip_of_many_shapes():
    rng = np.random.default_rng(1)
    for seed in range(200):
        streams, quantizers, frames = int(rng.integers(1, 7)), int(rng.integers(1, 33)), int(rng.integers(0, 60))
        size = int(rng.choice([2, 3, 100, 1000, 1024, 2048, 65536]))
        codes = _codes(streams, frames, quantizers, size, seed)
        channels = int(rng.integers(streams, 9))
        more = rng.integers(0, streams, channels - streams).tolist() if channels > streams and rng.integers(2) else []
        meta = _meta(
            model_id="x" * int(rng.integers(0, 26)),
            channels=channels,
            shared=(*range(streams), *more) if more else (),
            mid_side=channels == streams == 2 and bool(rng.integers(2)),
            sample_rate=int(rng.integers(1_000, 768_001)),
            num_samples=int(rng.integers(1, 2**40)) if frames else 0,
            codebook_size=size,
            denoised=bool(rng.integers(2)),
        )
        data = pack(codes, meta)
        actual, described, scales = unpack(data)
        assert scales is None
        np.testing.assert_array_equal(actual, codes)
        assert actual.dtype == np.int32
        assert described == dataclasses.replace(meta, streams=streams, num_quantizers=quantizers, frames=frames)
        assert len(data) == described.file_bytes
        bits = int(np.ceil(np.log2(size)))
        payload = -(-frames * quantizers * bits * streams // 8)
        assert described.payload_bytes == payload
        assert len(data) - payload <= 64 + (channels if more and streams > 1 else 0)


@pytest.mark.parametrize("name", ["", "quickstart", "soundstream_denoise_24khz", "n" * 200, "ü" * 30, "a\nb\x1b[0m"])
def test_header_takes_at_most_64_bytes_whatever_the_name(name):
    data = pack(_codes(2, 50, 12), _meta(model_id=name, channels=2, num_samples=2**40 - 1))
    assert len(data) <= 50 * 12 * 10 * 2 // 8 + 64
    stored = unpack(data)[1].model_id
    assert stored.isprintable()
    assert len(stored.encode()) <= 25
    if name.isprintable():
        assert name.startswith(stored)


def test_every_changed_byte_is_an_error():
    data = pack(_codes(1, 20, 3), _meta())
    for position in range(len(data)):
        for change in (1, 0x80, 0xFF, data[position]):  # the last makes the byte zero
            mutated = bytearray(data)
            mutated[position] ^= change
            if bytes(mutated) == data:
                continue
            with pytest.raises(ContainerError):
                unpack(bytes(mutated))


def test_every_truncation_and_extension_is_an_error():
    data = pack(_codes(1, 20, 3), _meta())
    for length in range(len(data)):
        with pytest.raises(ContainerError):
            unpack(data[:length])
    with pytest.raises(ContainerError, match=f"truncated at byte 60 of {len(data)}"):
        unpack(data[:60])
    with pytest.raises(ContainerError, match=f"1 bytes after the end of the container at byte {len(data)}"):
        unpack(data + b"\0")


def test_random_garbage_is_an_error():
    rng = np.random.default_rng(2)
    for length in (*range(80), 1000, 100_000):
        noise = rng.bytes(length)
        for data in (noise, container.MAGIC + noise, container.MAGIC + b"\x01" + noise):
            with pytest.raises(ContainerError):
                unpack(data)
            # random fields behind a valid header checksum
            if length >= 40:
                forged = bytearray(container.MAGIC + b"\x01\x00" + noise)
                forged[30] %= 26
                if len(forged) >= 39 + forged[30]:
                    with pytest.raises(ContainerError):
                        unpack(_forge(bytes(forged), 5, noise[:1]))


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"R", "bad magic"),
        (3, b"\x02", "version 2 is newer than this program reads"),
        (3, b"\x00", "version 0 is unknown"),
        (4, b"\x80", "flags 0x80 need a feature"),
        (4, b"\x20", "flags 0x20 need a feature"),
        (4, b"\x08", "impossible mid and side: 1 channels in 1 streams are not two in two"),
        (4, b"\x10", "impossible map of 1 channels to 1 streams"),
        (13, b"\0\0\0", "impossible sample rate: 0"),
        (16, b"\0\0\0\0\0\0", "impossible channels: 0"),
        (21, b"\x00", "impossible channels"),
        (22, b"\x00", "impossible streams"),
        (22, b"\x02", "impossible streams: 2 is not within 1 to 1"),
        (23, b"\x00", "impossible number of quantizers"),
        (24, b"\x00\x00", "impossible codebook size: 1"),
        (26, b"\0\0\0\0", "impossible frames: 0"),
        (26, b"\xff\xff\xff\xff", "impossible frames: 4294967295"),
        (26, b"\x10\0\0\0", "bytes after the end"),
        (31, b"\xff", "impossible model name: not UTF-8"),
        (31, b"\x1b", "impossible model name: unprintable"),
    ],
)
def test_reasons(offset, value, reason):
    data = pack(_codes(1, 20, 3), _meta())
    with pytest.raises(ContainerError, match=reason):
        unpack(_forge(data, offset, value))


@pytest.mark.parametrize(
    ("streams", "changes"),
    [
        (2, {"channels": 3, "shared": (0, 1)}),
        (2, {"channels": 3, "shared": (0, 0, 0)}),
        (2, {"channels": 3, "shared": (1, 0, 1)}),  # streams have the order of their first channels
        (2, {"channels": 3, "shared": (0, 2, 0)}),
        (2, {"channels": 2, "shared": (0, 1)}),
        (1, {"channels": 2, "shared": (0, 0), "mid_side": True}),
        (2, {"channels": 3, "mid_side": True}),
        (1, {"channels": 2, "mid_side": True}),
    ],
)
def test_impossible_channels(streams, changes):
    with pytest.raises(ContainerError, match=r"impossible (map|mid and side)"):
        pack(_codes(streams, 20, 3), _meta(**changes))


@pytest.mark.parametrize("stored", [(0, 0, 0), (0, 1, 2), (1, 0, 1), (1, 1, 1), (0, 255, 0)])
def test_forged_streams_of_channels(stored):
    data = bytearray(pack(_codes(2, 20, 3), _meta(model_id="m", channels=3, shared=(0, 1, 0))))
    data[32:35] = bytes(stored)
    data[35:39] = zlib.crc32(bytes(data[:35])).to_bytes(4, "little")
    with pytest.raises(ContainerError, match="impossible map of 3 channels to 2 streams"):
        unpack(bytes(data))


def test_reasons_of_the_checksums():
    data = pack(_codes(1, 20, 3), _meta())
    with pytest.raises(ContainerError, match="header checksum"):
        unpack(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    with pytest.raises(ContainerError, match="checksum of the codes"):
        unpack(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    with pytest.raises(ContainerError, match="impossible name length"):
        unpack(data[:30] + b"\x1a" + data[31:])
    with pytest.raises(ContainerError, match="empty file"):
        unpack(b"")


def test_a_forged_code_beyond_the_codebook_is_an_error():
    data = pack(_codes(1, 20, 3), _meta())
    with pytest.raises(ContainerError, match="in codebooks of 513 entries"):
        unpack(_forge(data, 24, (512).to_bytes(2, "little")))


def test_huge_fields_do_not_allocate(tmp_path):
    data = pack(_codes(1, 20, 3), _meta())
    forged = _forge(data, 16, b"\xff" * 5 + b"\xff" * 3 + b"\xff\xff" + b"\xff" * 4)  # all sizes at their largest
    path = tmp_path / "huge.codax"
    path.write_bytes(forged)
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="truncated"):
            unpack(forged)
        with pytest.raises(ContainerError, match="truncated"):
            ContainerReader(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize(
    ("codes", "changes", "reason"),
    [
        (_codes(1, 5, 3)[0], {}, "expected .streams, frames, quantizers"),
        (_codes(1, 5, 3).astype(np.float32), {}, "must be integers"),
        (_codes(1, 5, 3) - 1024, {}, "impossible code: -"),
        (_codes(1, 5, 3) + 1024, {}, "impossible code"),
        (_codes(2, 5, 3), {}, "impossible streams"),
        (_codes(1, 5, 3), {"frames": 6}, "5 frames of codes"),
        (_codes(1, 5, 3), {"num_quantizers": 2}, "codes of shape"),
        (_codes(1, 0, 3), {}, "impossible frames: 0"),
        (_codes(1, 5, 3), {"num_samples": 0}, "impossible frames: 5 is not within 0 to 0"),
        (
            _codes(1, 500, 3),
            {"num_samples": 10, "sample_rate": 24_000},
            "frames: 500 is not within 1 to 320",
        ),
        (_codes(1, 5, 3), {"model_hash": b"short"}, "model hash"),
        (_codes(1, 5, 3), {"sample_rate": 768_001}, "impossible sample rate"),
        (_codes(1, 5, 3), {"num_samples": 2**40}, "impossible number of samples"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes, changes, reason):
    with pytest.raises(ContainerError, match=reason):
        pack(codes, _meta(**changes))


def test_files_equal_byte_strings(tmp_path):
    codes = _codes(2, 1001, 5, 1000)
    meta = _meta(channels=2, codebook_size=1000, streams=2, num_quantizers=5)
    path = tmp_path / "a.codax"
    with ContainerWriter(path, dataclasses.replace(meta, num_samples=0)) as writer:
        for part in np.split(codes, [0, 1, 8, 8, 500, 999], axis=1):
            writer.write(part)
        writer.num_samples = meta.num_samples
    assert path.read_bytes() == pack(codes, meta)
    assert list(tmp_path.iterdir()) == [path]
    for frames in (1, 7, 64, 5000):
        with ContainerReader(path) as reader:
            assert reader.meta == writer.meta
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks(frames)), axis=1), codes)


def test_an_interrupted_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.codax"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), ContainerWriter(path, _meta(streams=1, num_quantizers=3)) as writer:
        writer.write(_codes(1, 5, 3))
        raise KeyboardInterrupt
    with pytest.raises(ContainerError, match="codes of shape"), ContainerWriter(path, writer.meta) as writer:
        writer.write(_codes(1, 5, 4))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_reader_names_the_file(tmp_path):
    for name, reason in (("none.codax", "no such file"), (".", "is a folder, not a file")):
        with pytest.raises(ContainerError, match=f"{name}: {reason}"):
            ContainerReader(tmp_path / name if name != "." else name)
    path = tmp_path / "a.codax"
    data = pack(_codes(1, 20, 3), _meta())
    for broken in (data[:-1], data[:-1] + b"\0", b"RIFF" + data, b""):
        path.write_bytes(broken)
        with pytest.raises(ContainerError, match=r"a\.codax: "):
            ContainerReader(path)


def test_reader_of_a_file_that_shrinks(tmp_path):
    path = tmp_path / "a.codax"
    path.write_bytes(pack(_codes(1, 2000, 30), _meta()))
    with ContainerReader(path) as reader:
        with path.open("r+b") as file:
            file.truncate(100)
        with pytest.raises(ContainerError, match="became shorter"):
            list(reader.blocks(2000))


def test_a_name_longer_than_the_header_allows_is_cut_between_characters():
    assert unpack(pack(_codes(1, 2, 3), _meta(model_id="a" + "ü" * 30)))[1].model_id == "a" + "ü" * 12


def _scales(streams, segments) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1, (streams, segments)).astype(np.float32)


@pytest.mark.parametrize("name", ["encodec_48khz", "n" * 25])
def test_scales_come_back(tmp_path, name):
    codes, scales = _codes(2, 300, 4), _scales(2, 3)
    meta = _meta(model_id=name, channels=4, streams=2, num_quantizers=4, scaled=True)
    data = pack(codes, meta, scales)
    actual, described, repeated = unpack(data)
    np.testing.assert_array_equal(actual, codes)
    np.testing.assert_array_equal(repeated, scales)
    assert (described.segments, described.model_id) == (3, name[:21])
    assert len(data) == described.file_bytes == 300 * 4 * 2 * 10 // 8 + 24 + 43 + len(name[:21])
    # As stored: after the codes, segment by segment.
    assert data[-4 - 24 : -4] == scales.T.astype("<f4").tobytes()
    path = tmp_path / "a.codax"
    with ContainerWriter(path, dataclasses.replace(meta, num_samples=0)) as writer:
        writer.write(codes[:, :7])
        writer.write(codes[:, 7:])
        writer.num_samples, writer.scales = meta.num_samples, scales
    assert path.read_bytes() == data
    with ContainerReader(path) as reader:
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks(64)), axis=1), codes)
        np.testing.assert_array_equal(reader.scales(), scales)


def test_damaged_scales_are_an_error(tmp_path):
    data = pack(_codes(1, 20, 3), _meta(), _scales(1, 2))
    for position in range(len(data)):
        mutated = bytearray(data)
        mutated[position] ^= 1
        with pytest.raises(ContainerError):
            unpack(bytes(mutated))
        with pytest.raises(ContainerError):
            unpack(data[:position])
    for bad, reason in ((_scales(2, 2), "scales of shape"), (_scales(1, 21), "impossible segments: 21")):
        with pytest.raises(ContainerError, match=reason):
            pack(_codes(1, 20, 3), _meta(), bad)
    with pytest.raises(ContainerError, match="not a finite number"):
        pack(_codes(1, 20, 3), _meta(), np.full((1, 2), np.nan, np.float32))
    forged = bytearray(data)
    forged[-12:-4] = np.full(2, np.inf, np.float32).tobytes()
    start = container.parse_header(data, len(data))[1]
    forged[-4:] = zlib.crc32(bytes(forged[start:-4])).to_bytes(4, "little")
    with pytest.raises(ContainerError, match="not a finite number"):
        unpack(bytes(forged))
    (tmp_path / "a.codax").write_bytes(forged)
    with ContainerReader(tmp_path / "a.codax") as reader, pytest.raises(ContainerError, match=r"a\.codax: .*finite"):
        reader.scales()


def test_rate_and_duration():
    # 75 frames a second, 8 quantizers of 10 bits: 6 kbps
    meta = unpack(pack(_codes(1, 750, 8), _meta(sample_rate=24_000, num_samples=240_000)))[1]
    assert meta.seconds == 10.0
    assert meta.kbps == 6.0


def test_containers_need_no_jax():
    code = "import sys, codax.containers.streamed; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
