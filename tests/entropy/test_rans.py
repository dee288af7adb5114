"""rANS on lanes: by hand, against the entropy, and on what no encoder wrote."""

import numpy as np
import pytest
from codax.entropy import rans
from codax.entropy.rans import TOTAL, RansError


def test_frequencies_by_hand() -> None:
    # 65536 - 4 * 256 are shared out as 1 : 2 : 0 : 1 on top of 256 each.
    assert rans.quantize(np.array([1, 2, 0, 1])).tolist() == [16384, 32512, 256, 16384]
    assert rans.cumulate(np.array([3, 1, 2])).tolist() == [0, 3, 4, 6]


@pytest.mark.parametrize("symbols", [2, 3, 1000, 1024, 65_536])
def test_frequencies_add_up(symbols: int) -> None:
    rng = np.random.default_rng(symbols)
    for weights in (rng.integers(0, 2**29, (3, symbols)), np.zeros((1, symbols), int), np.eye(2, symbols, dtype=int)):
        frequencies = rans.quantize(weights)
        assert frequencies.min() >= rans.least_frequency(symbols) >= 1
        # No symbol is so likely that a few bytes could stand for a great many.
        assert frequencies.max() <= TOTAL - 500 or symbols == 65_536
        assert (frequencies.sum(axis=-1) == TOTAL).all()


def test_one_step_by_hand() -> None:
    # State 2**32, frequency 16384 from 100 on: 2**32 // 16384 = 2**18, times 65536, plus 0, plus 100.
    (message,) = rans.encode(np.array([[100]]), np.array([[16384]]), np.array([1]))
    assert message == ((1 << 34) >> 32).to_bytes(4, "little") + (100).to_bytes(4, "little")
    cumulated = np.array([[0, 100, 16484, TOTAL]])
    decoder = rans.Decoder([message])
    assert decoder.step(cumulated, np.array([True])).tolist() == [1]
    assert decoder.intact().all()


def _tables(lanes: int, steps: int, symbols: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols [steps, lanes] and their cumulated frequencies [steps, lanes, symbols + 1]."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 1 << int(rng.integers(1, 20)), (steps, lanes, symbols))
    return rng.integers(0, symbols, (steps, lanes)), rans.cumulate(rans.quantize(weights))


def _encode(symbols: np.ndarray, cumulated: np.ndarray, counts: np.ndarray) -> list[bytes]:
    starts = np.take_along_axis(cumulated, symbols[..., None], -1)[..., 0]
    ends = np.take_along_axis(cumulated, symbols[..., None] + 1, -1)[..., 0]
    return rans.encode(starts, ends - starts, counts)


def test_lanes_of_many_shapes_come_back() -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        lanes, steps, size = (int(rng.integers(1, high)) for high in (6, 80, 300))
        symbols, cumulated = _tables(lanes, steps, size + 1, seed)
        counts = rng.integers(0, steps + 1, lanes)
        messages = _encode(symbols, cumulated, counts)
        decoder = rans.Decoder(messages)
        for step in range(steps):
            active = step < counts
            actual = decoder.step(cumulated[step], active)
            np.testing.assert_array_equal(actual, np.where(active, symbols[step], 0))
        assert decoder.intact().all()
        # A lane's message is the same beside others and alone.
        alone = _encode(symbols[:, :1], cumulated[:, :1], counts[:1])
        assert alone[0] == messages[0]


def test_the_length_is_the_information() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 1000, 256)
    frequencies = rans.quantize(weights)
    p = frequencies / TOTAL
    symbols = rng.choice(256, (20_000, 1), p=p)
    cumulated = np.broadcast_to(rans.cumulate(frequencies), (20_000, 1, 257))
    (message,) = _encode(symbols, cumulated, np.array([20_000]))
    bits = -np.log2(p[symbols]).sum()
    assert bits / 8 < len(message) < bits / 8 + 16


def test_other_messages_end_in_another_state() -> None:
    symbols, cumulated = _tables(1, 60, 200, 5)
    (message,) = _encode(symbols, cumulated, np.array([60]))
    for position in range(len(message)):
        changed = bytearray(message)
        changed[position] ^= 0x10
        decoder = rans.Decoder([bytes(changed)])
        for step in range(60):
            decoder.step(cumulated[step], np.array([True]))
        assert not decoder.intact().any()
    for bad in (b"", message[:-1], b"1234"):
        with pytest.raises(RansError):
            rans.Decoder([bad])
    decoder = rans.Decoder([message[:-8], message])  # the one that is cut does not harm the other
    for step in range(60):
        actual = decoder.step(np.repeat(cumulated[step], 2, axis=0), np.array([True, True]))
        assert actual[1] == symbols[step, 0]
    assert decoder.intact().tolist() == [False, True]
