"""Asymmetric numeral systems (rANS, Duda, arXiv 1311.2540) on many independent lanes, with integers only.

Each lane is a message of its own: 32-bit words, preceded by its final 64-bit state. The decoder must end in the state
that the encoder started from, which detects most damage. All lanes advance together, as NumPy arrays; so do the models
that give the frequencies.
"""

from __future__ import annotations

import math

import numpy as np

from codax.errors import CodaxError

PRECISION = 16  # bits; the frequencies of an alphabet sum to 1 << PRECISION
TOTAL = 1 << PRECISION
_RARE = 1024  # part of TOTAL that is distributed evenly over all symbols
_START = np.uint64(1 << 32)  # smallest state between two steps
_WORD = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)


class RansError(CodaxError):
    """The message is not the output of an encoder."""


def least_frequency(symbols: int) -> int:
    """Smallest frequency of a symbol; with it, the most probable symbol takes 0.02 bits or more."""
    return max(1, _RARE // symbols)


def least_bits(symbols: int) -> float:
    """Fewest bits that a symbol can take."""
    return -math.log2(1 - (symbols - 1) * least_frequency(symbols) / TOTAL)


def quantize(weights: np.ndarray) -> np.ndarray:
    """Frequencies int64 [..., symbols] that sum to `TOTAL`, proportional to `weights` above the least frequency.

    Args:
      weights: integers >= 0 [..., symbols], whose sum is below 2**46.

    The rounding remainder goes to the largest weight, the first of equal ones. All arithmetic is integer.
    """
    weights = np.asarray(weights, np.int64)
    least = least_frequency(weights.shape[-1])
    spare = TOTAL - weights.shape[-1] * least
    total = np.maximum(weights.sum(axis=-1, keepdims=True), 1)
    frequencies = least + weights * spare // total
    remainder = TOTAL - frequencies.sum(axis=-1, keepdims=True)
    largest = np.expand_dims(weights.argmax(axis=-1), -1)
    np.put_along_axis(frequencies, largest, np.take_along_axis(frequencies, largest, -1) + remainder, -1)
    return frequencies


def cumulate(frequencies: np.ndarray) -> np.ndarray:
    """Cumulative frequencies before each symbol, followed by `TOTAL`: int64 [..., symbols + 1]."""
    return np.concatenate([np.zeros_like(frequencies[..., :1]), np.cumsum(frequencies, axis=-1)], axis=-1)


def locate(cumulated: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start (cumulative frequency before it) and frequency of each symbol.

    Args:
      cumulated: int64 [..., size + 1], of `cumulate`.
      symbols: integers [...].

    Returns:
      int64 [...] each.
    """
    starts, ends = (np.take_along_axis(cumulated, symbols[..., None] + step, -1)[..., 0] for step in (0, 1))
    return starts, ends - starts


def encode(starts: np.ndarray, frequencies: np.ndarray, counts: np.ndarray) -> list[bytes]:
    """Encodes one message per lane.

    Args:
      starts: int64 [steps, lanes], cumulative frequency before each symbol.
      frequencies: int64 [steps, lanes], frequency of each symbol.
      counts: int64 [lanes], number of symbols of each lane; later steps are ignored.

    Returns:
      One message for each lane.
    """
    steps, lanes = starts.shape
    state = np.full(lanes, _START)
    words = np.zeros((steps + 2, lanes), np.uint32)
    used = np.zeros(lanes, np.int64)
    shift = np.uint64(PRECISION)
    for step in range(steps - 1, -1, -1):  # the decoder reads the symbols in reverse order
        active = step < counts
        frequency = frequencies[step].astype(np.uint64)
        # The state would exceed 64 bits: its lower word is written first.
        full = active & (state >> np.uint64(64 - PRECISION) >= frequency)
        words[used[full], full.nonzero()[0]] = (state[full] & _MASK).astype(np.uint32)
        used[full] += 1
        state[full] >>= _WORD
        safe = np.where(active, frequency, np.uint64(1))
        after = (state // safe << shift) + state % safe + starts[step].astype(np.uint64)
        state = np.where(active, after, state)
    messages = []
    for lane in range(lanes):
        head = np.array([state[lane] >> _WORD, state[lane] & _MASK]).astype("<u4")
        messages.append(np.concatenate([head, words[: used[lane], lane][::-1].astype("<u4")]).tobytes())
    return messages


class Decoder:
    """Decodes the symbols of all lanes step by step."""

    def __init__(self, messages: list[bytes]) -> None:
        """Raises RansError if a message is not a whole number of words, or too short."""
        if any(len(message) < 8 or len(message) % 4 for message in messages):
            raise RansError("invalid message length")
        self._ends = np.array([len(message) // 4 for message in messages])
        self._words = np.zeros((len(messages), max(self._ends, default=0) + 1), np.uint64)
        for lane, message in enumerate(messages):
            self._words[lane, : self._ends[lane]] = np.frombuffer(message, "<u4")
        self._state = self._words[:, 0] << _WORD | self._words[:, 1]
        self._next = np.full(len(messages), 2)
        self._failed = np.zeros(len(messages), bool)

    def step(self, cumulated: np.ndarray, active: np.ndarray) -> np.ndarray:
        """The next symbol of each active lane, int64 [lanes]; 0 for inactive lanes and those that ended too early.

        Args:
          cumulated: int64 [lanes, symbols + 1], of `cumulate`.
          active: bool [lanes].
        """
        active = active & ~self._failed
        slot = (self._state & np.uint64(TOTAL - 1)).astype(np.int64)
        symbol = np.sum(cumulated[:, 1:] <= slot[:, None], axis=1)
        start = np.take_along_axis(cumulated, symbol[:, None], 1)[:, 0]
        frequency = np.take_along_axis(cumulated, symbol[:, None] + 1, 1)[:, 0] - start
        state = frequency.astype(np.uint64) * (self._state >> np.uint64(PRECISION)) + (slot - start).astype(np.uint64)
        state = np.where(active, state, self._state)
        short = active & (state < _START)
        self._failed |= short & (self._next >= self._ends)
        short &= ~self._failed
        lanes = short.nonzero()[0]
        state[short] = state[short] << _WORD | self._words[lanes, self._next[short]]
        self._next[short] += 1
        self._state = state
        return np.where(active & ~self._failed, symbol, 0)

    def intact(self) -> np.ndarray:
        """bool [lanes]: whether each lane has reached the end of its message, in the initial state of the encoder."""
        return ~self._failed & (self._next == self._ends) & (self._state == _START)
