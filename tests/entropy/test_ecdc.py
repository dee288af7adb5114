"""`.ecdc` files: the bytes of the `encodec` package, and refusal of everything else."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from codax.entropy.ecdc import Ecdc, EcdcError, from_bytes, to_bytes

with np.load(Path(__file__).parents[1] / "golden" / "ecdc.npz") as arrays:
    GOLDEN = dict(arrays)
MODELS = ("encodec_24khz", "encodec_48khz")


def golden(model: str) -> tuple[bytes, Ecdc]:
    scales = GOLDEN.get(f"{model}/scales")
    file = Ecdc(model, int(GOLDEN[f"{model}/length"]), GOLDEN[f"{model}/codes"].astype(np.int32), scales)
    return GOLDEN[f"{model}/bytes"].tobytes(), file


@pytest.mark.parametrize("model", MODELS)
def test_the_bytes_are_those_of_the_package(model: str) -> None:
    data, file = golden(model)
    assert to_bytes(file) == data
    read = from_bytes(data)
    assert (read.model, read.length) == (file.model, file.length)
    np.testing.assert_array_equal(read.codes, file.codes)
    np.testing.assert_array_equal(read.scales, file.scales)
    assert (read.scales is None) == (model == "encodec_24khz")


@pytest.mark.parametrize("model", MODELS)
def test_every_cut_is_noticed(model: str) -> None:
    data, _ = golden(model)
    for size in [*range(0, 120), *range(120, len(data), 97), len(data) - 1]:
        with pytest.raises(EcdcError):
            from_bytes(data[:size])
    with pytest.raises(EcdcError, match="1 bytes too long"):
        from_bytes(data + b"\0")


@pytest.mark.parametrize("model", MODELS)
def test_a_changed_header_never_crashes(model: str) -> None:
    data, _ = golden(model)
    rng = np.random.default_rng(0)
    for _ in range(500):
        changed = bytearray(data)
        changed[rng.integers(0, 70)] = rng.integers(0, 256)
        try:
            from_bytes(bytes(changed))
        except EcdcError:
            pass


def _with(**changes: object) -> bytes:
    data, file = golden("encodec_24khz")
    text = json.dumps({"m": file.model, "al": file.length, "nc": file.codes.shape[1], "lm": False} | changes).encode()
    size = struct.unpack_from("!4sBI", data)[2]
    return struct.pack("!4sBI", b"ECDC", 0, len(text)) + text + data[9 + size :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": "encodec_32khz"}, "'encodec_32khz' is not one that"),
        ({"m": ["encodec_24khz"]}, "is not one that"),
        ({"lm": True}, "language model"),
        ({"al": 10**12}, "cut off: 1000000000000 samples need"),
        ({"al": 0}, "cannot be"),
        ({"al": True}, "cannot be"),
        ({"nc": 33}, "33 codebooks cannot be"),
        ({"al": 1.5}, "cannot be"),
    ],
)
def test_a_header_that_lies_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EcdcError, match=message):
        from_bytes(_with(**changes))


def test_codes_that_do_not_fit_are_refused() -> None:
    _, file = golden("encodec_48khz")
    with pytest.raises(EcdcError, match="do not fit"):
        to_bytes(Ecdc(file.model, file.length + 48_000, file.codes, file.scales))
    with pytest.raises(EcdcError, match="scales"):
        to_bytes(Ecdc(file.model, file.length, file.codes))
    with pytest.raises(EcdcError, match="do not fit in 10 bits"):
        to_bytes(Ecdc(file.model, file.length, file.codes + 1024, file.scales))
