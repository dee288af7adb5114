"""Asymmetric numeral systems (rANS) on many independent lanes at once, in integers only.

Duda, "Asymmetric numeral systems", arXiv 1311.2540. Each lane is a message of its own: 32-bit words, led by its final
64-bit state. The decoder ends in the state that the encoder began with, which shows most kinds of damage. All lanes
take each step together, as NumPy arrays; so do the models that give the frequencies.
"""

from __future__ import annotations

import math

import numpy as np

from codax.errors import CodaxError

PRECISION = 16  # bits; the frequencies of an alphabet add up to 1 << PRECISION
TOTAL = 1 << PRECISION
_RARE = 1024  # of TOTAL, that all symbols share evenly
_START = np.uint64(1 << 32)  # smallest state between two steps
_WORD = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)


class RansError(CodaxError):
    """A message that no encoder wrote."""


def least_frequency(symbols: int) -> int:
    """Frequency that any symbol has at least: together they keep the likeliest one at 0.02 bits or more."""
    return max(1, _RARE // symbols)


def least_bits(symbols: int) -> float:
    """Bits that any symbol takes at least."""
    return -math.log2(1 - (symbols - 1) * least_frequency(symbols) / TOTAL)


def quantize(weights: np.ndarray) -> np.ndarray:
    """Frequencies, int64 [..., symbols], that add up to `TOTAL`, in proportion to `weights` above the least one.

    Args:
      weights: integers >= 0 [..., symbols], whose sum is below 2**46.

    Largest weights take what rounding leaves, the first one of equals; integers decide everything.
    """
    weights = np.asarray(weights, np.int64)
    least = least_frequency(weights.shape[-1])
    spare = TOTAL - weights.shape[-1] * least
    total = np.maximum(weights.sum(axis=-1, keepdims=True), 1)
    frequencies = least + weights * spare // total
    left = TOTAL - frequencies.sum(axis=-1, keepdims=True)
    largest = np.expand_dims(weights.argmax(axis=-1), -1)
    np.put_along_axis(frequencies, largest, np.take_along_axis(frequencies, largest, -1) + left, -1)
    return frequencies


def cumulate(frequencies: np.ndarray) -> np.ndarray:
    """Sums of the frequencies before each symbol, and `TOTAL` at the end: int64 [..., symbols + 1]."""
    return np.concatenate([np.zeros_like(frequencies[..., :1]), np.cumsum(frequencies, axis=-1)], axis=-1)


def locate(cumulated: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the frequencies before each symbol, and its own.

    Args:
      cumulated: int64 [..., size + 1], of `cumulate`.
      symbols: integers [...].

    Returns:
      int64 [...] each.
    """
    starts, ends = (np.take_along_axis(cumulated, symbols[..., None] + step, -1)[..., 0] for step in (0, 1))
    return starts, ends - starts


def encode(starts: np.ndarray, frequencies: np.ndarray, counts: np.ndarray) -> list[bytes]:
    """Messages of known symbols.

    Args:
      starts: int64 [steps, lanes], sum of the frequencies before each symbol.
      frequencies: int64 [steps, lanes], each symbol's own.
      counts: int64 [lanes], symbols of each lane; those of later steps are left out.

    Returns:
      One message for each lane.
    """
    steps, lanes = starts.shape
    state = np.full(lanes, _START)
    words = np.zeros((steps + 2, lanes), np.uint32)
    used = np.zeros(lanes, np.int64)
    shift = np.uint64(PRECISION)
    for step in range(steps - 1, -1, -1):  # backwards: the decoder takes the symbols from the other end
        active = step < counts
        frequency = frequencies[step].astype(np.uint64)
        # A state this large would leave 64 bits: its lower word goes out first.
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
    """Takes the symbols of all lanes step by step."""

    def __init__(self, messages: list[bytes]) -> None:
        """Raises RansError if a message is no whole number of words, or too short to be one."""
        if any(len(message) < 8 or len(message) % 4 for message in messages):
            raise RansError("a message of no whole length")
        self._ends = np.array([len(message) // 4 for message in messages])
        self._words = np.zeros((len(messages), max(self._ends, default=0) + 1), np.uint64)
        for lane, message in enumerate(messages):
            self._words[lane, : self._ends[lane]] = np.frombuffer(message, "<u4")
        self._state = self._words[:, 0] << _WORD | self._words[:, 1]
        self._next = np.full(len(messages), 2)
        self._failed = np.zeros(len(messages), bool)

    def step(self, cumulated: np.ndarray, active: np.ndarray) -> np.ndarray:
        """The next symbol of each active lane, int64 [lanes]; 0 in the others and in those that ended too early.

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
        """bool [lanes]: has each lane come to its message's end, in the state that encoders start from?"""
        return ~self._failed & (self._next == self._ends) & (self._state == _START)
