"""EnCodec's arithmetic coder, bit for bit: integers only.

A number in [low, high] stands for all symbols so far. A symbol narrows the range to its share; the first bits that both
ends have in common are written and dropped, and before each symbol the range is doubled until it has 2**24 numbers. A
share is given by a cumulative distribution (CDF) of integers up to 2**24. The decoder reads as many bits as the encoder
writes, so what follows a stream begins on the next byte.
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
_CHUNK = 8  # bytes taken at once
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_DAMAGED = "damaged, or coded with other probabilities"
_SLACK = 256  # 1.5e-5 of the whole
_MOST_BITS = 62  # of low and high; the reference stops here too, so no stream of its own needs more


class ArithmeticCoderError(CodaxError):
    """Bytes that no coder wrote with these probabilities, or probabilities that cannot be coded with."""


def quantized_cdf(probabilities: np.ndarray) -> np.ndarray:
    """Cumulative ranges of symbols, as EnCodec rounds them.

    Args:
      probabilities: float32 [..., symbols], each row with the sum 1 or a little less; at most 2**23 symbols.

    Returns:
      int64 [..., symbols]: the sum of the ranges up to and with each symbol, each 2 or more. By the rounding of floats
      it can go a little above 2**24; EnCodec lets that be, and the last symbols then cannot be coded.

    Raises:
      ArithmeticCoderError: a number is negative or not finite, or a sum is above 1.
    """
    p = np.asarray(probabilities, np.float32)
    symbols = p.shape[-1]
    if not 1 <= symbols <= TOTAL // MIN_RANGE:
        raise ArithmeticCoderError(f"{symbols} symbols do not fit in a range of {TOTAL}")
    if p.size and not (p.min() >= 0 and p.max() < 2):  # false for what is no number, too
        raise ArithmeticCoderError("a probability is not between 0 and 1")
    # All in float32: its rounding decides the integers.
    p = np.floor(p / _ROUNDOFF) * _ROUNDOFF
    ranges = np.floor(np.float32(TOTAL - MIN_RANGE * symbols) * p).astype(np.int64) + MIN_RANGE
    cdf = np.cumsum(ranges, axis=-1)
    if cdf.size and cdf[..., -1].max() > TOTAL + _SLACK:
        raise ArithmeticCoderError("the sum of the probabilities is above 1")
    return cdf


class Encoder:
    """Turns symbols into bytes: `push` them all, then `finish`."""

    def __init__(self) -> None:
        self._low = self._high = 0
        self._bits = 0  # that low and high have
        self._written: list[str] = []

    def push(self, symbols: Sequence[int] | np.ndarray, cdfs: np.ndarray) -> None:
        """Codes symbols [count], each 0 <= symbol < size, with their CDFs, int64 [count, size].

        Raises:
          ArithmeticCoderError: the range lay about one number for too long (a chance of 2**-37), or the symbol is one
            of those that cannot be coded.
        """
        values = np.asarray(symbols, np.int64)
        places = np.arange(len(values))
        size = cdfs.shape[-1]
        if len(cdfs) != len(values) or (len(values) and not 0 <= values.min() <= values.max() < size):
            raise ArithmeticCoderError(f"symbols do not fit {len(cdfs)} distributions of {size} symbols")
        starts = np.where(values > 0, cdfs[places, values - 1], 0).tolist()
        stops = cdfs[places, values].tolist()
        if max(stops, default=0) > TOTAL:
            raise ArithmeticCoderError("a symbol whose range goes beyond the whole cannot be coded")
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
                raise ArithmeticCoderError("the range lies about one number for too long: it cannot be coded")
        self._low, self._high, self._bits = low, high, bits

    def finish(self) -> bytes:
        """All bytes, the bits filling each from its lowest one; the encoder begins anew."""
        if self._bits:
            self._written.append(f"{self._low:0{self._bits}b}")
        digits = np.frombuffer("".join(self._written).encode(), np.uint8) - ord("0")
        self.__init__()
        return np.packbits(digits, bitorder="little").tobytes()


class Decoder:
    """Turns bytes back into symbols: `pull` as often as symbols were pushed, then see `finish`."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Args: bytes of which the stream is the first; what follows is not looked at."""
        self._data = data
        self._low = self._high = self._current = 0
        self._bits = 0  # that low and high have
        self._read = 0  # bits taken from the data
        self._ready, self._ready_bits = 0, 0  # the next bits, the first one highest

    def pull(self, cdfs: np.ndarray) -> list[int]:
        """The next symbols, one for each CDF, int64 [count, size].

        Raises:
          ArithmeticCoderError: the data ends, or holds what no coder writes.
        """
        count, size = cdfs.shape
        flat = np.ascontiguousarray(cdfs, np.int64).reshape(-1).data  # a memoryview: its items are Python's integers
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
            # The first symbol whose range does not end below the current number.
            inside = current - low
            place = bisect.bisect_left(flat, -(-(inside << RANGE_BITS) // delta) + 1, first, first + size)
            if place == first + size or flat[place] > TOTAL:
                raise ArithmeticCoderError(_DAMAGED)
            least = -(-(flat[place - 1] if place > first else 0) * delta >> RANGE_BITS)
            if inside < least:  # between two symbols
                raise ArithmeticCoderError(_DAMAGED)
            high = low + ((flat[place] - 1) * delta >> RANGE_BITS)
            low += least
            left = (low ^ high).bit_length()
            if left < bits:
                mask = (1 << left) - 1
                low, high, current, bits = low & mask, high & mask, current & mask, left
            if bits > _MOST_BITS:
                raise ArithmeticCoderError(_DAMAGED)
            symbols.append(place - first)
        self._low, self._high, self._current, self._bits = low, high, current, bits
        return symbols

    def finish(self) -> int:
        """Bytes that the stream took.

        Raises:
          ArithmeticCoderError: what is left of the last byte is not zero.
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
                raise ArithmeticCoderError("cut off, or coded with other probabilities")
            # Bits fill a byte from its lowest one; reversed, they are one number with the first bit highest.
            self._ready = (self._ready << 8 * len(chunk)) | int.from_bytes(bytes(chunk).translate(_REVERSED), "big")
            self._ready_bits += 8 * len(chunk)
        self._ready_bits -= count
        self._read += count
        taken = self._ready >> self._ready_bits
        self._ready &= (1 << self._ready_bits) - 1
        return taken
