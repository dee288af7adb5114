"""Packets: any cutting comes back, and damage or a cut is an error at the packet where it is."""

import dataclasses
import io
import struct

import numpy as np
import pytest
from codax.containers import container, packets
from codax.containers.container import ContainerError, Meta
from codax.containers.header_fields import Coding
from packed_files import unpack

META = Meta(
    model_id="quickstart",
    model_hash=bytes(range(8)),
    sample_rate=16_000,
    channels=2,
    num_samples=0,
    codebook_size=1000,
    num_quantizers=3,
    streams=2,
    denoised=True,
    mid_side=True,
)


def _codes(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, (2, frames, 3)).astype(np.int32)


def _stream(*counts: int, last: int = 0, excess: int = 0) -> tuple[bytes, np.ndarray]:
    codes = _codes(sum(counts) + last)
    parts = np.split(codes, np.cumsum(counts), axis=1)
    data = [packets.header(META)]
    data += [packet for part in parts[:-1] for packet in packets.packets(part, META)]
    return b"".join([*data, packets.last_packet(parts[-1], excess, META)]), codes


def _read(data: bytes) -> tuple[Meta, list[np.ndarray], int | None]:
    file = io.BytesIO(data)
    meta, parts, excess = packets.read_header(file.read), [], None
    for codes, excess in packets.read_packets(file.read, meta):  # noqa: B007
        parts.append(codes)
    return meta, parts, excess


def test_bytes_computed_by_hand() -> None:
    meta = dataclasses.replace(META, streams=1, channels=1, num_quantizers=2, codebook_size=1024)
    codes = np.array([[[1, 2], [1023, 0]]])
    (packet,) = packets.packets(codes, meta)
    # CRC-16 with polynomial 0x1021, start 0, over the count and the codes.
    assert packet == b"\x02\x00" + struct.pack("<H", _crc(b"\x02\x00\x01\x08\xf0\x3f\x00")) + b"\x01\x08\xf0\x3f\x00"
    last = packets.last_packet(codes[:, :0], 7, meta)
    assert last == b"\x00\x80" + struct.pack("<H", _crc(b"\x00\x80\x07\0\0\0")) + b"\x07\0\0\0"


def _crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


@pytest.mark.parametrize(
    ("counts", "last"), [((), 0), ((), 5), ((1, 1, 7), 0), ((0, 3), 2), ((packets.MOST_FRAMES + 1,), 1)]
)
def test_codes_come_back(counts: tuple[int, ...], last: int) -> None:
    data, codes = _stream(*counts, last=last, excess=11)
    meta, parts, excess = _read(data)
    assert meta == META
    assert excess == 11
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), codes)
    assert len(parts) == sum(-(-count // packets.MOST_FRAMES) for count in counts) + 1


def test_every_changed_byte_and_every_cut_is_an_error() -> None:
    data, _ = _stream(2, 1, last=1)
    for position in range(len(data)):
        for change in (1, 0x80, 0xFF):
            mutated = bytearray(data)
            mutated[position] ^= change
            with pytest.raises(ContainerError):
                _read(bytes(mutated))
        with pytest.raises(ContainerError):
            _read(data[:position])


def test_what_came_before_the_damage_is_handed_out() -> None:
    data, codes = _stream(4, 4)
    file, seen = io.BytesIO(data[:-9]), []
    meta = packets.read_header(file.read)
    with pytest.raises(ContainerError, match="packet 2: cut off"):
        for part, _ in packets.read_packets(file.read, meta):
            seen.append(part)
    np.testing.assert_array_equal(seen[0], codes[:, :4])


def test_a_container_is_no_stream_and_the_other_way_round() -> None:
    data, _ = _stream(3)
    with pytest.raises(ContainerError, match="a stream of packets, not a .codax container"):
        unpack(data)
    with pytest.raises(ContainerError, match="a .codax container, not a stream"):
        _read(container.pack(_codes(3), dataclasses.replace(META, num_samples=5)))
    for empty, reason in ((b"", "no input"), (b"RIFF" * 20, "bad magic"), (data[:20], "truncated")):
        with pytest.raises(ContainerError, match=reason):
            _read(empty)


@pytest.mark.parametrize(
    "changes", [{"coding": Coding(1, 50, b"12345678")}, {"shared": (0, 0), "streams": 1, "mid_side": False}]
)
def test_a_stream_has_packed_codes_of_every_channel(changes: dict) -> None:
    meta, reason = dataclasses.replace(META, **changes), "neither entropy coding nor channels that share codes"
    with pytest.raises(ContainerError, match=reason):
        packets.header(meta)
    with pytest.raises(ContainerError, match=reason):
        packets.read_header(io.BytesIO(container.serialize_header(meta, container.STREAM)).read)
