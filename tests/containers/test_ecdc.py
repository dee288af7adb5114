"""`.ecdc` files: the bytes of the `encodec` package, and refusal of everything else."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from codax.containers.ecdc import KINDS, Builder, EcdcError, from_bytes, segment_frames

with np.load(Path(__file__).parents[1] / "golden" / "ecdc.npz") as arrays:
    GOLDEN = dict(arrays)
MODELS = ("encodec_24khz", "encodec_48khz")


def golden(model: str) -> tuple[bytes, int, np.ndarray, np.ndarray | None]:
    """The package's bytes, and what they hold: length, codes [frames, codebooks], scales [segments]."""
    codes = GOLDEN[f"{model}/codes"].astype(np.int32)
    return GOLDEN[f"{model}/bytes"].tobytes(), int(GOLDEN[f"{model}/length"]), codes, GOLDEN.get(f"{model}/scales")


def build(model: str, length: int, codes: np.ndarray, scales: np.ndarray | None) -> bytes:
    builder = Builder(model, codes.shape[1])
    if scales is None:
        for part in np.split(codes, [0, 1, 40]):
            builder.write(part)
    else:
        frames = segment_frames(KINDS[model], length)
        for part, scale in zip(np.split(codes, np.cumsum(frames)[:-1]), scales, strict=True):
            builder.write(part, float(scale))
    return builder.finish(length)


@pytest.mark.parametrize("model", MODELS)
def test_the_bytes_are_those_of_the_package(model: str) -> None:
    data, length, codes, scales = golden(model)
    assert build(model, length, codes, scales) == data
    read = from_bytes(data)
    assert (read.model, read.length, read.codebooks) == (model, length, codes.shape[1])
    np.testing.assert_array_equal(read.codes, codes)
    np.testing.assert_array_equal(read.scales, scales)
    assert (read.scales is None) == (model == "encodec_24khz")
    for frames in (1, 7, 10_000):
        np.testing.assert_array_equal(np.concatenate(list(read.blocks(frames))), codes)


@pytest.mark.parametrize("model", MODELS)
def test_every_cut_is_noticed(model: str) -> None:
    data = golden(model)[0]
    for size in [*range(0, 120), *range(120, len(data), 97), len(data) - 1]:
        with pytest.raises(EcdcError):
            from_bytes(data[:size])
    with pytest.raises(EcdcError, match="1 bytes too long"):
        from_bytes(data + b"\0")


@pytest.mark.parametrize("model", MODELS)
def test_a_changed_header_never_crashes(model: str) -> None:
    data = golden(model)[0]
    rng = np.random.default_rng(0)
    for _ in range(500):
        changed = bytearray(data)
        changed[rng.integers(0, 70)] = rng.integers(0, 256)
        try:
            from_bytes(bytes(changed))
        except EcdcError:
            pass


def _with(**changes: object) -> bytes:
    data, length, codes, _ = golden("encodec_24khz")
    text = json.dumps({"m": "encodec_24khz", "al": length, "nc": codes.shape[1], "lm": False} | changes).encode()
    size = struct.unpack_from("!4sBI", data)[2]
    return struct.pack("!4sBI", b"ECDC", 0, len(text)) + text + data[9 + size :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": "encodec_32khz"}, "'encodec_32khz' is not a model of"),
        ({"m": ["encodec_24khz"]}, "is not a model of"),
        ({"lm": True}, "language model"),
        ({"al": 10**12}, "cut off: 1000000000000 samples need"),
        ({"al": 0}, "impossible length"),
        ({"al": True}, "impossible length"),
        ({"nc": 33}, "33 codebooks"),
        ({"al": 1.5}, "impossible length"),
    ],
)
def test_a_header_that_lies_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EcdcError, match=message):
        from_bytes(_with(**changes))


def test_codes_that_do_not_fit_are_refused() -> None:
    _, length, codes, scales = golden("encodec_48khz")
    assert scales is not None
    builder = Builder("encodec_48khz", codes.shape[1])
    with pytest.raises(EcdcError, match="needs scales"):
        builder.write(codes)
    with pytest.raises(EcdcError, match="do not fit in 10 bits"):
        builder.write(codes + 1024, 1.0)
    with pytest.raises(EcdcError, match="do not fit 4 codebooks"):
        Builder("encodec_48khz", 4).write(codes[:, :3], 1.0)
    with pytest.raises(EcdcError, match="frames do not fit"):
        Builder("encodec_48khz", 4).finish(length)
    with pytest.raises(EcdcError, match="has no scales"):
        Builder("encodec_24khz", codes.shape[1]).write(codes, 1.0)
