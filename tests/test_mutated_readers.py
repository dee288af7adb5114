"""Changed configs, weights, manifests and archives end in one line of error or are read, in little time and memory."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from codax.cli.info import describe
from codax.config import Config, DACConfig, FSQQuantizerConfig, MimiConfig
from codax.containers.ecdc import Header
from codax.data import manifest
from codax.data.sources import tars
from codax.errors import CodaxError
from codax.storage.tensors import read_tensors
from mutations import COUNT, mutated, mutated_json, sealed_tar
from safetensors.numpy import save

SLOWEST = 10.0  # seconds of work; hundreds of times what it takes
LARGEST = 64 << 20  # bytes
Mutants = Iterator[bytes]


def configs(rng: np.random.Generator) -> Mutants:
    values = [Config().to_dict(), Config(model=MimiConfig()).to_dict()]
    values.append(Config(model=DACConfig(), quantizer=FSQQuantizerConfig(kbps=())).to_dict())
    while True:
        yield mutated_json(values[rng.integers(len(values))], rng)


def read_config(path: Path) -> None:
    config = Config.load(path)
    config.acting()
    assert config.segment[0] >= 0 and config.hop > 0 and config.kbps(1) > 0 and config.latency_ms > 0
    assert config.segment_samples >= 0 and config.bits_per_code > 0


def rows(rng: np.random.Generator) -> Mutants:
    row = {"file": "a.wav", "id": "x", "sample_rate": 16_000, "frames": 9, "channels": 1, "record": 3, "text": "é"}
    while True:
        yield mutated_json(row, rng) + b"\n" + json.dumps(row).encode()


def tensors(rng: np.random.Generator) -> Mutants:
    whole = save({"a": np.ones((2, 3), np.float32), "b.c": np.ones(4, np.int8)}, {"format": "pt"})
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    while True:
        text = mutated_json(header, rng)
        forged = len(text).to_bytes(8, "little") + text + whole[end:]
        yield forged if rng.random() < 0.8 else mutated(whole, rng)


def archives(rng: np.random.Generator) -> Mutants:
    whole = []
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name, size in (("d/a.wav", 900), ("d/a.json", 0), (f"d/{'b' * 90}.wav", 700), ("e.txt", 5)):
                info = tarfile.TarInfo(name)
                info.size, info.pax_headers = size, {"comment": "é", "size": str(size)}
                archive.addfile(info, io.BytesIO(bytes(size)))
        whole.append(buffer.getvalue())
    while True:
        data = whole[rng.integers(3)]
        data = sealed_tar(mutated(data, rng) if rng.random() < 0.5 else data, rng)
        data = gzip.compress(data, 1) if rng.random() < 0.3 else data
        yield mutated(data, rng) if rng.random() < 0.2 else data


def ecdc(rng: np.random.Generator) -> Mutants:
    while True:
        model, compressed = ("encodec_48khz", "encodec_24khz")[rng.integers(2)], bool(rng.integers(2))
        head = Header(model, int(rng.choice([1, 320, 48_000, 2**40])), 2, compressed, 0).to_bytes()
        text = head[9:] if rng.random() < 0.2 else mutated_json(json.loads(head[9:]), rng)
        yield head[:5] + len(text).to_bytes(4, "big") + text + rng.bytes(int(rng.choice([0, 3, 7, 500])))


@pytest.mark.parametrize(
    ("name", "mutants", "read"),
    [
        ("config.json", configs, read_config),
        ("a.jsonl", rows, manifest.read),
        ("a.safetensors", tensors, read_tensors),
        ("a.tar", archives, lambda path: list(tars.members(str(path)))),
        ("a.ecdc", ecdc, describe),
    ],
)
def test_files_are_refused_or_read(tmp_path: Path, name: str, mutants: Callable, read: Callable) -> None:
    path, ends, rng = tmp_path / name, Counter(), np.random.default_rng(0)
    tracemalloc.start()
    try:
        for _, data in zip(range(COUNT // 5), mutants(rng), strict=False):
            path.write_bytes(data)
            tracemalloc.reset_peak()
            begin = time.perf_counter()
            try:
                read(path)
                ends["read"] += 1
            except CodaxError as error:
                assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 2000
                ends["refused"] += 1
            assert time.perf_counter() - begin < SLOWEST
            assert tracemalloc.get_traced_memory()[1] < LARGEST
    finally:
        tracemalloc.stop()
    assert len(ends) == 2, ends
