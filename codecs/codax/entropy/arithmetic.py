"""EnCodec's arithmetic coder, bit-exact, with integers only.

A range [low, high] represents all symbols so far. Each symbol narrows the range in proportion to its probability; the
leading bits that both ends share are written and removed, and before each symbol the range is doubled until it has
2**24 numbers. Probabilities are cumulative distributions (CDFs) of integers up to 2**24. The decoder reads exactly the
bits that the encoder writes, so data after a stream begins at the next byte.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from codax.errors import CodaxError

RANGE_BITS = 24
TOTAL = 1 << RANGE_BITS
MIN_RANGE = 2
_ROUNDOFF = np.float32(1e-8)
_CHUNK = 8  # bytes read at once
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_DAMAGED = "damaged, or coded with other probabilities"
_SLACK = 256  # 1.5e-5 of the total
_MOST_BITS = 62  # of low and high; the reference has the same limit, so none of its streams needs more


class ArithmeticCoderError(CodaxError):
    """The bytes do not fit the probabilities, or the probabilities cannot be used for coding."""


def quantized_cdf(probabilities: np.ndarray) -> np.ndarray:
    """Cumulative ranges of symbols, rounded as in EnCodec.

    Args:
      probabilities: float32 [..., symbols]; each row sums to 1 or slightly less; at most 2**23 symbols.

    Returns:
      int64 [..., symbols]: the sum of the ranges up to and including each symbol, each range at least 2. Because of
      float rounding the sum can slightly exceed 2**24; as in EnCodec, the last symbols then cannot be coded.

    Raises:
      ArithmeticCoderError: a probability is negative or not finite, or a sum exceeds 1.
    """
    p = np.asarray(probabilities, np.float32)
    symbols = p.shape[-1]
    if not 1 <= symbols <= TOTAL // MIN_RANGE:
        raise ArithmeticCoderError(f"{symbols} symbols do not fit in a range of {TOTAL}")
    if p.size and not (p.min() >= 0 and p.max() < 2):  # also false for NaN
        raise ArithmeticCoderError("a probability is not between 0 and 1")
    # All in float32, whose rounding determines the integers.
    p = np.floor(p / _ROUNDOFF) * _ROUNDOFF
    ranges = np.floor(np.float32(TOTAL - MIN_RANGE * symbols) * p).astype(np.int64) + MIN_RANGE
    cdf = np.cumsum(ranges, axis=-1)
    if cdf.size and cdf[..., -1].max() > TOTAL + _SLACK:
        raise ArithmeticCoderError("the sum of the probabilities is above 1")
    return cdf


class Encoder:
    """Encodes symbols: call `push` for all of them, then `finish`."""

    def __init__(self) -> None:
        self._low = self._high = 0
        self._bits = 0  # number of bits of low and high
        self._written: list[str] = []

    def push(self, symbols: Sequence[int] | np.ndarray, cdfs: np.ndarray) -> None:
        """Encodes symbols [count], each 0 <= symbol < size, with their CDFs, int64 [count, size].

        Raises:
          ArithmeticCoderError: the range straddled one number for too long (probability 2**-37), or a symbol cannot be
            coded.
        """
        values = np.asarray(symbols, np.int64)
        rows = np.arange(len(values))
        size = cdfs.shape[-1]
        if len(cdfs) != len(values) or (len(values) and not 0 <= values.min() <= values.max() < size):
            raise ArithmeticCoderError(f"symbols do not fit {len(cdfs)} distributions of {size} symbols")
        starts = np.where(values > 0, cdfs[rows, values - 1], 0).tolist()
        stops = cdfs[rows, values].tolist()
        if max(stops, default=0) > TOTAL:
            raise ArithmeticCoderError("a symbol whose range exceeds the total cannot be coded")
        low, high, bits = self._low, self._high, self._bits
        for start, stop in zip(starts, stops, strict=True):
            delta = high - low + 1
            grow = RANGE_BITS + 1 - delta.bit_length()
            if grow > 0:
                low <<= grow
                high = ((high + 1) << grow) - 1
                delta <<= grow
                bits += grow
            high = low + ((stop - 1) * delta >> RANGE_BITS)
            low -= -start * delta >> RANGE_BITS
            left = (low ^ high).bit_length()
            if left < bits:
                self._written.append(f"{low >> left:0{bits - left}b}")
                mask = (1 << left) - 1
                low, high, bits = low & mask, high & mask, left
            if bits > _MOST_BITS:
                raise ArithmeticCoderError("the range straddles one number for too long: it cannot be coded")
        self._low, self._high, self._bits = low, high, bits

    def finish(self) -> bytes:
        """Returns all bytes, each filled from its lowest bit, and resets the encoder."""
        if self._bits:
            self._written.append(f"{self._low:0{self._bits}b}")
        digits = np.frombuffer("".join(self._written).encode(), np.uint8) - ord("0")
        self.__init__()
        return np.packbits(digits, bitorder="little").tobytes()


class Decoder:
    """Decodes symbols: call `pull` as often as symbols were pushed, then `finish`."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Args: bytes that begin with the stream; later bytes are ignored."""
        self._data = data
        self._low = self._high = self._current = 0
        self._bits = 0  # number of bits of low and high
        self._read = 0  # bits consumed
        self._ready, self._ready_bits = 0, 0  # the next bits, the first one highest

    def pull(self, cdfs: np.ndarray) -> list[int]:
        """Decodes the next symbols, one for each CDF, int64 [count, size].

        Raises:
          ArithmeticCoderError: the data ends, or is not the output of an encoder.
        """
        count, size = cdfs.shape
        flat = np.ascontiguousarray(cdfs, np.int64).reshape(-1).data  # items of a memoryview are Python integers
        low, high, current, bits = self._low, self._high, self._current, self._bits
        symbols = []
        for first in range(0, count * size, size):
            delta = high - low + 1
            grow = RANGE_BITS + 1 - delta.bit_length()
            if grow > 0:
                low <<= grow
                high = ((high + 1) << grow) - 1
                current = (current << grow) | self._take(grow)
                delta <<= grow
                bits += grow
            # The first symbol whose range ends above the current number.
            inside = current - low
            symbol = bisect.bisect_left(flat, -(-(inside << RANGE_BITS) // delta) + 1, first, first + size)
            if symbol == first + size or flat[symbol] > TOTAL:
                raise ArithmeticCoderError(_DAMAGED)
            least = -(-(flat[symbol - 1] if symbol > first else 0) * delta >> RANGE_BITS)
            if inside < least:  # in a gap between two symbols
                raise ArithmeticCoderError(_DAMAGED)
            high = low + ((flat[symbol] - 1) * delta >> RANGE_BITS)
            low += least
            left = (low ^ high).bit_length()
            if left < bits:
                mask = (1 << left) - 1
                low, high, current, bits = low & mask, high & mask, current & mask, left
            if bits > _MOST_BITS:
                raise ArithmeticCoderError(_DAMAGED)
            symbols.append(symbol - first)
        self._low, self._high, self._current, self._bits = low, high, current, bits
        return symbols

    def finish(self) -> int:
        """Number of bytes of the stream.

        Raises:
          ArithmeticCoderError: the unused bits of the last byte are not zero.
        """
        used = -(-self._read // 8)
        if self._read % 8 and self._data[used - 1] >> self._read % 8:
            raise ArithmeticCoderError(_DAMAGED)
        return used

    def _take(self, count: int) -> int:
        while self._ready_bits < count:
            start = (self._read + self._ready_bits) // 8
            chunk = self._data[start : start + _CHUNK]
            if not chunk:
                raise ArithmeticCoderError("truncated, or coded with other probabilities")
            # Bytes are filled from their lowest bit; reversed, they form one number with the first bit highest.
            self._ready = (self._ready << 8 * len(chunk)) | int.from_bytes(bytes(chunk).translate(_REVERSED), "big")
            self._ready_bits += 8 * len(chunk)
        self._ready_bits -= count
        self._read += count
        value = self._ready >> self._ready_bits
        self._ready &= (1 << self._ready_bits) - 1
        return value
