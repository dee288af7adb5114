"""EnCodec's arithmetic coder: the reference's CDFs and bytes, and damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codax.entropy.arithmetic import TOTAL, ArithmeticCoderError, Decoder, Encoder, quantized_cdf

with np.load(Path(__file__).parents[1] / "golden" / "encodec_lm.npz") as arrays:
    GOLDEN = {k.removeprefix("coder/"): v for k, v in arrays.items() if k.startswith("coder/")}
TABLES = [quantized_cdf(GOLDEN[f"probabilities/{i}"]) for i in range(5)]


def test_cdfs_are_those_of_the_package() -> None:
    for i, table in enumerate(TABLES):
        assert table.dtype == np.int64
        np.testing.assert_array_equal(table, GOLDEN[f"cdf/{i}"])


def test_a_cdf_by_hand() -> None:
    # (2**24 - 3 * 2) * [0.5, 0.25, 0.25], rounded down, and 2 each.
    np.testing.assert_array_equal(quantized_cdf(np.asarray([0.5, 0.25, 0.25])), [8388607, 12582911, 16777215])
    np.testing.assert_array_equal(quantized_cdf(np.asarray([0.0, 1.0])), [2, TOTAL])


def test_a_sum_just_above_one_loses_the_last_symbols_alone() -> None:
    table = quantized_cdf(np.asarray([[0.6, 0.4000001, 0.0, 0.0]], np.float32))
    assert TOTAL < table[0, -1] < TOTAL + 5
    symbols = [0, 1, 1, 0, 1, 0, 0]
    data = encoded([np.repeat(table, len(symbols), axis=0)], np.asarray([symbols]))
    decoder = Decoder(data)
    assert decoder.pull(np.repeat(table, len(symbols), axis=0)) == symbols
    with pytest.raises(ArithmeticCoderError, match="exceeds the total"):
        Encoder().push([3], table)
    with pytest.raises(ArithmeticCoderError, match="damaged"):
        Decoder(b"\xff" * 4).pull(table)


def encoded(tables: list[np.ndarray], symbols: np.ndarray) -> bytes:
    encoder = Encoder()
    for table, row in zip(tables, symbols, strict=True):
        encoder.push(row, table)
    return encoder.finish()


def test_the_bytes_are_those_of_the_package() -> None:
    symbols = GOLDEN["symbols"]
    tables = [TABLES[i] for i in GOLDEN["tables"]]
    data = encoded(tables, symbols)
    assert data == GOLDEN["bytes"].tobytes()
    decoder = Decoder(data + b"what follows")
    for table, row in zip(tables, symbols, strict=True):
        assert decoder.pull(table) == row.tolist()
    assert decoder.finish() == len(data)


def random_tables(rng: np.random.Generator, count: int) -> np.ndarray:
    """CDFs [count, size] from nearly uniform to nearly certain, some with symbols of no probability."""
    size = int(rng.integers(1, 80))
    logits = rng.choice([0.1, 3.0, 40.0]) * rng.standard_normal((count, size))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return quantized_cdf((0.999999 * weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


@pytest.mark.parametrize("seed", range(20))
def test_random_sequences_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    encoder, everything = Encoder(), []
    for _ in range(2):  # an encoder can be used again after `finish`
        tables = [random_tables(rng, int(rng.integers(1, 9))) for _ in range(int(rng.integers(0, 40)))]
        symbols = [rng.integers(0, table.shape[1], len(table)) for table in tables]
        for table, row in zip(tables, symbols, strict=True):
            encoder.push(row, table)
        everything.append((tables, symbols, encoder.finish()))
    rest = b"".join(data for *_, data in everything)
    for tables, symbols, data in everything:
        decoder = Decoder(rest)
        for table, row in zip(tables, symbols, strict=True):
            assert decoder.pull(table) == row.tolist()
        assert decoder.finish() == len(data)
        rest = rest[len(data) :]


def test_the_length_is_the_information() -> None:
    rng = np.random.default_rng(0)
    p = np.asarray([0.9, 0.05, 0.03, 0.02], np.float32)
    symbols = rng.choice(4, 20_000, p=p / p.astype(np.float64).sum())
    data = encoded([np.tile(quantized_cdf(p), (len(symbols), 1))], symbols[None])
    assert abs(8 * len(data) + np.log2(p)[symbols].sum()) < 40


def test_every_cut_is_noticed() -> None:
    data, tables = GOLDEN["bytes"].tobytes(), [TABLES[i] for i in GOLDEN["tables"]]
    for size in [*range(0, len(data), 61), len(data) - 1]:
        decoder = Decoder(data[:size])
        with pytest.raises(ArithmeticCoderError, match="truncated"):
            for table in tables:
                decoder.pull(table)


def test_damage_never_crashes() -> None:
    rng = np.random.default_rng(0)
    data, tables = GOLDEN["bytes"].tobytes(), [TABLES[i] for i in GOLDEN["tables"]]
    noticed = 0
    for _ in range(100):
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << rng.integers(8)
        decoder = Decoder(bytes(changed))
        try:
            symbols = [decoder.pull(table) for table in tables]
            assert decoder.finish() != len(data) or symbols != GOLDEN["symbols"].tolist()
        except ArithmeticCoderError:
            noticed += 1
    assert noticed > 20


def test_a_range_about_one_number_ends() -> None:
    # Shares just below and above the middle leave the ends without a bit in common, for as long as someone wants to.
    table = np.asarray([[TOTAL // 2 - 1, TOTAL // 2 + 1, TOTAL]])
    encoder = Encoder()
    with pytest.raises(ArithmeticCoderError, match="straddles one number"):
        for _ in range(10_000):
            encoder.push([1], table)
    decoder = Decoder(b"\xfe" + b"\xff" * 20_000)  # 0111...
    with pytest.raises(ArithmeticCoderError, match="damaged"):
        for _ in range(10_000):
            decoder.pull(table)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([0.5, np.nan], "between 0 and 1"),
        ([0.5, -0.1], "between 0 and 1"),
        ([np.inf, 0.0], "between 0 and 1"),
        ([0.7, 0.7], "above 1"),
    ],
)
def test_what_is_no_distribution_is_refused(probabilities: list[float], message: str) -> None:
    with pytest.raises(ArithmeticCoderError, match=message):
        quantized_cdf(np.asarray(probabilities))


@pytest.mark.parametrize("symbols", [[3, 0], [0, -1], [0]])
def test_symbols_that_do_not_fit_are_refused(symbols: list[int]) -> None:
    with pytest.raises(ArithmeticCoderError, match="do not fit 2 distributions of 3"):
        Encoder().push(symbols, np.asarray([[5, 10, TOTAL]] * 2))
