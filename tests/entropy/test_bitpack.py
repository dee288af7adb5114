"""Bit packing: a byte string computed by hand, and exact round trips however the stream is cut."""

import numpy as np
import pytest
from codax.entropy import bitpack


def test_bytes_computed_by_hand():
    # 10-bit codes, least significant bit first: 1 = 1000000000, 2 = 0100000000, 1023 = 1111111111 in order of time:
    # 10000000 00010000 00001111 111111(00) -> 0x01, 0x08, 0xF0, 0x3F
    assert bitpack.pack(np.array([1, 2, 1023]), 10) == bytes([0x01, 0x08, 0xF0, 0x3F])
    # 3-bit codes 5, 3, 6: 101 110 01|1 -> 1 + 4 + 8 + 16 + 128 = 0x9D, 0x01
    assert bitpack.pack(np.array([5, 3, 6]), 3) == bytes([0x9D, 0x01])


@pytest.mark.parametrize(
    ("size", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (1000, 10), (1024, 10), (1025, 11), (65536, 16)]
)
def test_bits_per_code(size, bits):
    assert bitpack.bits_per_code(size) == bits


@pytest.mark.parametrize("bits", range(1, 17))
def test_round_trip_of_every_width(bits):
    rng = np.random.default_rng(bits)
    for count in (0, 1, 7, 8, 9, 1000):
        codes = rng.integers(0, 2**bits, count)
        data = bitpack.pack(codes, bits)
        assert len(data) == bitpack.packed_bytes(count, bits)
        np.testing.assert_array_equal(bitpack.unpack(data, count, bits), codes)


def test_blocks_do_not_change_the_bytes():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1024, (301, 3), dtype=np.int32)
    packer = bitpack.BitPacker(10)
    cuts = np.sort(rng.integers(0, 301, 40))
    parts = [packer.push(part) for part in np.split(codes, cuts)]
    assert b"".join(parts) + packer.finish() == bitpack.pack(codes, 10)


def test_unpacking_from_the_middle_of_a_byte():
    codes = np.arange(1000) % 29
    data = bitpack.pack(codes, 5)
    for first in (0, 1, 3, 500, 999):
        part = data[first * 5 // 8 :]
        np.testing.assert_array_equal(bitpack.unpack(part, 1000 - first, 5, first * 5 % 8), codes[first:])


def test_more_codes_than_one_slice():
    codes = np.random.default_rng(0).integers(0, 2**11, 200_001)
    np.testing.assert_array_equal(bitpack.unpack(bitpack.pack(codes, 11), codes.size, 11), codes)


@pytest.mark.parametrize("bad", [[-1], [1024], [0.5], [2**40]])
def test_codes_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match=r"fit|integers"):
        bitpack.pack(np.array(bad), 10)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="do not fit in 3 bytes"):
        bitpack.unpack(b"abc", 3, 10)
    with pytest.raises(ValueError, match="do not fit"):
        bitpack.unpack(b"abc", -1, 10)
    for bits in (0, 17):
        with pytest.raises(ValueError, match="1 to 16"):
            bitpack.BitPacker(bits)
