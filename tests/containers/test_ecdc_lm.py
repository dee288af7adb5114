"""Compressed `.ecdc` files: the bytes of the `encodec` package, and refusal of everything else."""

from __future__ import annotations

import dataclasses
import json
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from codax.containers.ecdc import KINDS, Builder, Ecdc, EcdcError, from_bytes, parse_header, segment_frames
from codax.containers.ecdc_lm import compress, decompress
from exact_lm import begin
from mutations import COUNT, mutated

with np.load(Path(__file__).parents[1] / "golden" / "encodec_lm.npz") as arrays:
    GOLDEN = {k: v for k, v in arrays.items() if k.startswith("encodec_")}
MODELS = ("encodec_24khz", "encodec_48khz")


def plain(model: str) -> Ecdc:
    codes, length = GOLDEN[f"{model}/codes"].astype(np.int32), int(GOLDEN[f"{model}/length"])
    counts = segment_frames(KINDS[model], length)
    builder = Builder(model, codes.shape[1])
    for i, part in enumerate(np.split(codes, np.cumsum(counts)[:-1])):
        builder.write(part, float(GOLDEN[f"{model}/scales"][i]) if KINDS[model].scaled else None)
    return from_bytes(builder.finish(length))


@pytest.mark.parametrize("model", MODELS)
def test_the_bytes_are_those_of_the_package(model: str) -> None:
    data, file = GOLDEN[f"{model}/bytes"].tobytes(), plain(model)
    assert compress(file, begin) == data
    assert decompress(data, begin) == file
    header = parse_header(data)
    assert (header.model, header.length, header.codebooks) == (model, file.length, file.codebooks)
    assert header.compressed


def test_a_plain_file_passes() -> None:
    file = plain("encodec_24khz")
    header = parse_header(compress(file, begin))
    builder = Builder(header.model, header.codebooks)
    builder.write(file.codes)
    assert decompress(builder.finish(header.length), begin) == file


@pytest.mark.parametrize("model", MODELS)
def test_every_cut_is_noticed(model: str) -> None:
    data = GOLDEN[f"{model}/bytes"].tobytes()
    for size in [*range(0, 90, 7), *range(90, len(data), 397), len(data) - 1]:
        with pytest.raises(EcdcError):
            decompress(data[:size], begin)
    with pytest.raises(EcdcError, match="frame [0-9]+: 1 bytes too long"):
        decompress(data + b"\0", begin)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_changed_files_are_refused_or_read(model: str, compressed: bool) -> None:
    file = plain(model)
    data = compress(file, begin)
    if not compressed:
        header = parse_header(data)
        data = dataclasses.replace(header, compressed=False).to_bytes() + file.payload
    rng = np.random.default_rng(0)
    noticed = 0
    tracemalloc.start()
    try:
        for _ in range(COUNT // 10):
            changed = mutated(data, rng)
            started = time.perf_counter()
            try:
                actual = decompress(changed, begin)
                assert actual.codes.shape == (sum(actual.frames), actual.codebooks)
            except EcdcError:
                noticed += 1
            assert time.perf_counter() - started < 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert noticed > COUNT // 30


def test_other_probabilities_are_noticed() -> None:
    """One float in 1,024 is another: what follows is not what was written."""
    data = GOLDEN["encodec_24khz/bytes"].tobytes()

    def other(codebooks: int):
        predict = begin(codebooks)

        def predicted(previous: np.ndarray) -> np.ndarray:
            actual = predict(previous)
            actual[:, 0] *= np.float32(0.99)
            return actual

        return predicted

    with pytest.raises(EcdcError, match="frame"):
        decompress(data, other)
    with pytest.raises(EcdcError, match="gives probabilities .*, expected"):
        decompress(data, lambda count: lambda previous: np.ones((count, 512), np.float32) / 512)


def _with(**changes: object) -> bytes:
    data = GOLDEN["encodec_48khz/bytes"].tobytes()
    _, _, size = struct.unpack_from("!4sBI", data)
    text = json.dumps(json.loads(data[9 : 9 + size]) | changes).encode()
    return struct.pack("!4sBI", b"ECDC", 0, len(text)) + text + data[9 + size :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"al": 10**12}, "cut off: 1000000000000 samples need at least"),
        ({"al": 10**18}, "cut off"),
        ({"al": 10**9}, "cut off"),
        ({"m": "encodec_24khz", "al": 10**12}, "cut off"),
        ({"lm": 1}, "not the JSON"),
        ({"nc": 17}, "17 codebooks"),
    ],
)
def test_a_header_that_lies_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EcdcError, match=message):
        decompress(_with(**changes), begin)


def test_a_scale_that_is_no_number_is_refused() -> None:
    data = bytearray(GOLDEN["encodec_48khz/bytes"].tobytes())
    start = parse_header(bytes(data)).size
    data[start : start + 4] = struct.pack("!f", np.nan)
    with pytest.raises(EcdcError, match="not a finite number"):
        decompress(bytes(data), begin)
