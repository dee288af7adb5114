"""A full disk under every writer: the error is one line, earlier files are unchanged, and nothing partial remains."""

import resource

import numpy as np
import pytest
from codax import audio
from codax.codec.tokens import Tokens
from codax.config import Config
from codax.containers.container import Meta
from codax.containers.streamed import ContainerWriter
from codax.data import manifest, records
from codax.errors import CodaxError
from codax.evaluation.journal import Journal
from codax.evaluation.measuring import Measured
from codax.storage.files import write_whole
from codax.storage.staging import staged
from codax.storage.tensors import write_folder
from codax.tokens import shards
from full_disk import small_file_system

ROOM = 300 << 10  # bytes that can be written
LONG = 2_000_000  # bytes or samples that do not fit
RNG = np.random.default_rng(0)
NOISE = RNG.uniform(-0.5, 0.5, (LONG, 1))


def container(folder, size):
    meta = Meta("m", b"8 bytes.", 8000, 1, 80, codebook_size=1024, num_quantizers=2, streams=1)
    with ContainerWriter(folder / "a.codax", meta) as writer:
        writer.write(RNG.integers(0, 1024, (1, size, 2)))


def sound(suffix):
    return lambda folder, size: audio.write(folder / f"a{suffix}", NOISE[:size], 48_000)


def shard(folder, size):
    with records.ShardWriter(folder / "a.array_record") as writer:
        writer.write({"sample_rate": 8000}, np.ones((size, 1), np.int16))


def tokens(folder, size):
    Tokens(RNG.integers(0, 1024, (1, size, 1)), size, 8000).save(folder / "a")


def token_shard(form):
    def write(folder, size):
        facts = {"id": "a", "length": 1, "sample_rate": 8000, "channels": 1, "frame_rate": 50.0}
        rows = [{**facts, "codes": RNG.integers(0, 1024, (size, 2)).astype(np.int16)}]
        shards.write(folder / f"a{shards.suffix(form)}", form, rows, folder, "hash")

    return write


def results(folder, size):
    with staged(folder / "out") as stage:
        write_whole(stage / "a", "a" * size)
        (stage / "audio").mkdir()
        audio.write(stage / "audio" / "a.wav", NOISE[:100], 8000)


WRITERS = {
    "whole": lambda folder, size: write_whole(folder / "a", b"a" * size),
    "model": lambda folder, size: write_folder(folder, {"a": str(size), "b": "b" * size}),
    "config": lambda folder, size: write_folder(folder, {"config.json": Config(name="n" * size).to_json()}),
    "manifest": lambda folder, size: manifest.write(folder / "a.jsonl", [{"file": "a" * size}]),
    "journal": lambda folder, size: Journal(folder).write(0, Measured([], {"a": RNG.integers(0, 1 << 30, size // 10)})),
    "results": results,
    "container": container,
    "shard": shard,
    "tokens": tokens,
    "token parquet": token_shard("parquet"),
    "token records": token_shard("arrayrecord"),
    "wav": sound(".wav"),
    "flac": sound(".flac"),
    "ogg": sound(".ogg"),
}


@pytest.fixture(params=["small file system", "limit"])
def full(request, tmp_path):
    """A folder, and a function that begins the time in which no more than `ROOM` bytes fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if request.param == "limit":
        yield tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return
    with small_file_system(tmp_path, ROOM):
        yield tmp_path, lambda: None


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer(full, name):
    folder, begin = full
    WRITERS[name](folder, 300)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before
    begin()
    with pytest.raises((CodaxError, OSError)) as raised:
        WRITERS[name](folder, LONG)
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    WRITERS[name](folder, 300)  # there is room again


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".caf", ".ogg", ".opus", ".mp3"])
def test_the_last_bytes_of_audio(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    audio.write(path, NOISE[:20_000], 48_000)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for missing in (300, 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - missing, hard))
        try:
            with pytest.raises(CodaxError, match=r"cannot be written \(File too large\)"):
                audio.write(path, NOISE[:20_000], 48_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
