"""Arrays of audio and codes: integers by their type, layouts, values, and rates; in files and resampling too."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio.arrays import as_batch, as_chunk, as_codes, as_floats, as_rate, as_signal, padded
from codax.errors import CodaxError
from signals import noise

INTEGERS = {
    "int16": ([-32768, 0, 16384], [-1, 0, 0.5]),
    ">i2": ([-32768, 0, 16384], [-1, 0, 0.5]),
    "int32": ([-(2**31), 0, 2**30], [-1, 0, 0.5]),
    "uint8": ([0, 128, 192], [-1, 0, 0.5]),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_scaled_by_their_type(name: str) -> None:
    values, expected = INTEGERS[name]
    samples = np.asarray(values, name)
    for dtype in (np.float32, np.float64, None):
        floats = as_floats(samples, dtype)
        assert floats.dtype == (dtype or np.float32)
        np.testing.assert_array_equal(floats, expected)
    np.testing.assert_array_equal(audio.to_int16(samples), [-32768, 0, 16384])
    np.testing.assert_array_equal(audio.resample(samples, 8_000, 8_000), expected)
    stream = audio.StreamResampler(8_000, 8_000, 1)
    np.testing.assert_array_equal(stream(samples[:, None], last=True)[:, 0], expected)


@pytest.mark.parametrize("name", ["int8", "uint16", "uint32", "int64", "bool", "complex64", "U1", "object"])
def test_other_types_have_no_full_scale(name: str) -> None:
    with pytest.raises(CodaxError, match="has no full scale: expected floats, uint8, int16, int32"):
        as_floats(np.zeros(4, name))


def test_valid_floats_are_not_copied() -> None:
    signals = noise(2, 100, 1)
    assert as_batch(signals) is signals
    assert as_chunk(signals, batch=2, channels=1) is signals
    assert np.shares_memory(as_signal(signals[0]), signals)
    assert padded([signals]) is signals
    codes = np.zeros((1, 4, 2), np.int32)
    assert as_codes(codes, 16, 4) is codes


def test_layouts_of_one_signal() -> None:
    for shape in ((100,), (100, 1), (1, 100, 1)):
        assert as_batch(np.zeros(shape)).shape == (1, 100, 1)
    for shape in ((1, 1, 8), (3, 8), (2, 255, 255), (1, 1, 1)):  # short signals may have more channels than samples
        assert as_batch(np.zeros(shape)).shape == (1,) * (3 - len(shape)) + shape


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 16_000), (1, 16_000), (4, 16_000), (8, 2, 16_000), (1, 300, 256), (0,), (1, 0, 1), (1, 1, 1, 9), ()],
)
def test_implausible_layouts_are_rejected_with_those_that_are_accepted(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        CodaxError, match=r"must be \[time\], \[time, channels\] or \[batch, time, channels\].*got shape"
    ):
        as_batch(np.zeros(shape, np.float32))
    with pytest.raises(CodaxError, match=r"must be \[time\] or \[time, channels\].*got shape"):
        as_signal(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e10, 1e300])
def test_values_that_would_poison_a_state_are_rejected(value: float) -> None:
    signals = np.zeros((2, 30, 1))
    signals[1, 7] = value
    for check in (as_batch, lambda x: as_chunk(x, batch=2, channels=1), lambda x: as_signal(x[1])):
        with pytest.raises(CodaxError, match="not finite|beyond 1e9"):
            check(signals)
    assert as_chunk(signals, batch=2, channels=1, rows=np.asarray([True, False])).shape == (2, 30, 1)


def test_codes() -> None:
    codes = np.asarray([[[0, 15], [3, 4]]])
    for dtype in (np.uint8, np.int16, np.int64, np.uint64):
        assert as_codes(codes.astype(dtype), 16, 2).dtype == np.int32
    for bad in (codes - 1, codes + 1, codes + 2**32):
        with pytest.raises(CodaxError, match="codes must lie in 0 to 15"):
            as_codes(bad, 16, 2)
    for bad in (codes.astype(np.float32), codes > 3, np.full((1, 2, 2), np.nan)):
        with pytest.raises(CodaxError, match="codes must be integers"):
            as_codes(bad, 16, 2)
    for bad in (codes[0], codes[..., :0], np.zeros((1, 2, 3), int), [[[1, 2], [3]]]):
        with pytest.raises(CodaxError, match=r"codes must |codes: not an array"):
            as_codes(bad, 16, 2)


def test_rates() -> None:
    assert [as_rate(rate) for rate in (1_000, np.int64(44_100), 48_000.0, 768_000)] == [1_000, 44_100, 48_000, 768_000]
    for bad in (0, -1, 1, 999, 10**7, 10**400, 44_100.5, np.nan, np.inf, "44100", None, True):
        with pytest.raises(CodaxError, match="sample rate"):
            as_rate(bad)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_files_take_integers(tmp_path, subtype: str) -> None:
    samples, expected = INTEGERS["int32"]
    audio.write(tmp_path / "a.wav", np.asarray(samples, np.int32), 8_000, subtype=subtype)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav")[0], expected)
