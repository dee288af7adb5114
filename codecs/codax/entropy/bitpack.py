"""Fixed-width packing of codes: every code has the same number of bits, least significant bit first.

Codes are packed in C order, so [frames, streams, quantizers] gives time-major order, as EnCodec's bit packer does.
There is no byte alignment except at the end, where unused bits are zero.
"""

from __future__ import annotations

import numpy as np

MAX_BITS = 16
# Codes packed at once: bounds the scratch memory (16 bytes per code) and keeps every slice aligned to whole bytes.
_SLICE = 1 << 16


def bits_per_code(codebook_size: int) -> int:
    """Bits per code for `codebook_size` (2 to 65536) codes: ceil(log2(codebook_size))."""
    return (codebook_size - 1).bit_length()


def packed_bytes(count: int, bits: int) -> int:
    """Bytes needed for `count` codes of `bits` bits."""
    return (count * bits + 7) // 8


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Packs codes.

    Args:
      codes: integers of any shape, each 0 <= code < 2**bits, packed in C order.
      bits: bits per code, 1 to 16.

    Returns:
      packed_bytes(codes.size, bits) bytes.

    Raises:
      ValueError: a code does not fit or `bits` is out of range.
    """
    packer = BitPacker(bits)
    return packer.push(codes) + packer.finish()


def unpack(data: bytes | memoryview, count: int, bits: int, offset: int = 0) -> np.ndarray:
    """Unpacks `count` codes of `bits` bits, starting at bit `offset` of `data`.

    Returns:
      int32 [count].

    Raises:
      ValueError: `data` is too short or `bits` is out of range.
    """
    _check_bits(bits)
    if offset < 0 or count < 0 or offset + count * bits > 8 * len(data):
        raise ValueError(f"{count} codes of {bits} bits at bit {offset} do not fit in {len(data)} bytes")
    raw = np.frombuffer(data, np.uint8)
    codes = np.empty(count, np.int32)
    for start in range(0, count, _SLICE):
        part = codes[start : start + _SLICE]
        first = offset + start * bits
        last = first + part.size * bits
        flat = np.unpackbits(raw[first // 8 : (last + 7) // 8], bitorder="little")
        wide = np.zeros((part.size, MAX_BITS), np.uint8)
        wide[:, :bits] = flat[first % 8 : first % 8 + part.size * bits].reshape(part.size, bits)
        part[:] = np.packbits(wide, axis=1, bitorder="little").view("<u2")[:, 0]
    return codes


class BitPacker:
    """Packs a stream of codes block by block; the bytes do not depend on the block boundaries."""

    def __init__(self, bits: int) -> None:
        """Args: bits per code, 1 to 16."""
        _check_bits(bits)
        self._bits = bits
        self._rest = np.zeros(0, np.uint8)  # up to seven bits of an incomplete byte

    def push(self, codes: np.ndarray) -> bytes:
        """Returns the bytes that these codes (integers of any shape, in C order) complete.

        Raises:
          ValueError: a code is negative or needs more bits.
        """
        flat = np.ascontiguousarray(codes).reshape(-1)
        if flat.size and flat.dtype.kind not in "iu":
            raise ValueError(f"codes must be integers, not {flat.dtype}")
        if flat.size and (flat.min() < 0 or flat.max() >> self._bits):
            raise ValueError(f"codes {flat.min()} to {flat.max()} do not fit in {self._bits} bits")
        parts = []
        for start in range(0, flat.size, _SLICE):
            pairs = flat[start : start + _SLICE].astype("<u2").view(np.uint8).reshape(-1, 2)
            new_bits = np.unpackbits(pairs, axis=1, bitorder="little")[:, : self._bits].reshape(-1)
            available = np.concatenate([self._rest, new_bits])
            whole = available.size // 8 * 8
            parts.append(np.packbits(available[:whole], bitorder="little").tobytes())
            self._rest = available[whole:]
        return b"".join(parts)

    def finish(self) -> bytes:
        """Returns the last, incomplete byte, if any, padded with zero bits."""
        last = np.packbits(self._rest, bitorder="little").tobytes()
        self._rest = self._rest[:0]
        return last


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"bits per code must be 1 to {MAX_BITS}, not {bits}")
