"""Fixed-width packing of codes: every code takes the same number of bits, least significant bit first.

The order of the codes is the order of the array in memory, so [frames, streams, quantizers] gives time first, as
EnCodec's own bit packer does. Nothing is aligned to bytes except the end, where the unused bits are zero.
"""

from __future__ import annotations

import numpy as np

MAX_BITS = 16
# Codes handled at a time: bounds the scratch memory (16 bytes a code) and keeps every slice aligned to whole bytes.
_SLICE = 1 << 16


def bits_per_code(codebook_size: int) -> int:
    """Bits that hold any of `codebook_size` (2 to 65536) codes: ceil(log2(codebook_size))."""
    return (codebook_size - 1).bit_length()


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return (count * bits + 7) // 8


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Packs codes.

    Args:
      codes: integers of any shape, each 0 <= code < 2**bits, taken in C order.
      bits: bits per code, 1 to 16.

    Returns:
      packed_bytes(codes.size, bits) bytes.

    Raises:
      ValueError: a code does not fit or `bits` is out of range.
    """
    packer = BitPacker(bits)
    return packer.push(codes) + packer.finish()


def unpack(data: bytes | memoryview, count: int, bits: int, offset: int = 0) -> np.ndarray:
    """Unpacks `count` codes of `bits` bits, the first of which starts at bit `offset` of `data`.

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
    """Packs a stream of codes block by block; the bytes do not depend on how the stream was cut into blocks."""

    def __init__(self, bits: int) -> None:
        """Args: bits per code, 1 to 16."""
        _check_bits(bits)
        self._bits = bits
        self._rest = np.zeros(0, np.uint8)  # up to seven bits that do not fill a byte yet

    def push(self, codes: np.ndarray) -> bytes:
        """Returns the whole bytes that are complete after these codes (integers of any shape, in C order).

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
            fresh = np.unpackbits(pairs, axis=1, bitorder="little")[:, : self._bits].reshape(-1)
            every = np.concatenate([self._rest, fresh])
            whole = every.size // 8 * 8
            parts.append(np.packbits(every[:whole], bitorder="little").tobytes())
            self._rest = every[whole:]
        return b"".join(parts)

    def finish(self) -> bytes:
        """Returns the last byte, if one is begun, with its unused bits zero."""
        last = np.packbits(self._rest, bitorder="little").tobytes()
        self._rest = self._rest[:0]
        return last


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"bits per code must be 1 to {MAX_BITS}, not {bits}")
