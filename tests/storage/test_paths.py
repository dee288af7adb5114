"""Paths that are not files are refused before they are opened, and each file of a list is listed once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from codax import audio
from codax.cli import info
from codax.config import DataConfig
from codax.containers import ecdc, whole_files
from codax.containers.streamed import ContainerReader
from codax.containers.whole_files import seconds_in
from codax.data import manifest, records
from codax.data.sources import archives
from codax.data.sources.spec import listing
from codax.errors import CodaxError
from codax.interop.formats import import_model
from codax.listening.manifest import Manifest
from codax.listening.results import read_results
from codax.storage.files import each_once, require_file
from codax.storage.tensors import read_tensors

MANIFEST = Manifest(Path("key.json"), "test", "mushra", {}, [], {}, {}, {})
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "audio information": ("a.wav", audio.info),
    "audio": ("a.mp3", audio.read),
    "blocks of audio": ("a.flac", lambda path: list(audio.blocks(path, 1.0))),
    "an excerpt": ("a.g722", lambda path: audio.excerpt(path, 0, 10)),
    "a description": ("a.codax", info.describe),
    "a description of audio": ("a.wav", info.describe),
    "a container": ("a.codax", ContainerReader),
    "a container to decode": ("a.ecdc", seconds_in),
    "an .ecdc file": ("a.ecdc", ecdc.read),
    "weights": ("model.safetensors", read_tensors),
    "a checkpoint": ("model.th", read_tensors),
    "a model": ("model.th", import_model),
    "a manifest": ("a.csv", manifest.read),
    "a source": ("a.jsonl", lambda path: listing(str(path), 16_000, DataConfig())),
    "a source of one file": ("a.wav", lambda path: listing(str(path), 16_000, DataConfig())),
    "transcripts": ("transcripts.tsv", manifest.read_transcripts),
    "a shard": ("a.array_record", lambda path: records.open_shard(str(path))),
    "an archive": ("a.tar", lambda path: list(archives.members(str(path)))),
    "archives": ("a.tar.gz", lambda path: archives.find(str(path))),
    "a dataset": ("a.parquet", lambda path: list(archives.members(str(path)))),
    "ratings": ("a.csv", lambda path: read_results([path], MANIFEST)),
}


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Ends a reader that waits for a writer."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("use", READERS)
def test_fifos_and_devices_are_refused(tmp_path, use):
    name, reader = READERS[use]
    os.mkfifo(tmp_path / "fifo")
    for kind, target in (("a FIFO", tmp_path / "fifo"), ("a device", Path("/dev/zero"))):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(CodaxError) as error:
            reader(tmp_path / name)
        assert f"{name}: is {kind}, not a file" in str(error.value) and "\n" not in str(error.value)
        (tmp_path / name).unlink()


def test_a_fifo_in_a_folder_is_skipped(tmp_path):
    audio.write(tmp_path / "a.wav", [0.5] * 8000, 8000)
    os.mkfifo(tmp_path / "b.wav")
    assert [path.name for path in audio.files_below(tmp_path)] == ["a.wav"]


@pytest.mark.parametrize(("below", "suffix"), [(audio.files_below, ".wav"), (whole_files.files_below, ".codax")])
def test_folders_behind_links_are_searched_once_and_hidden_files_are_not_listed(tmp_path, below, suffix):
    for name in ("in/b/1", "in/b/._1", "in/.c/2", "out/3", "in/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).with_suffix(suffix).touch()
    for name, target in {"in/loop": "..", "in/b/up": "..", "in/d": "../out", f"in/e{suffix}": "missing"}.items():
        (tmp_path / name).symlink_to(target)
    names = [path.relative_to(tmp_path / "in").as_posix() for path in below(tmp_path / "in")]
    assert names == [f"{stem}{suffix}" for stem in ("4", "b/1", "d/3", "e")]


def test_reasons_and_links(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "loop").symlink_to("loop")
    require_file(tmp_path / "link")
    for name, reason in (
        (".", "is a folder"),
        ("none", "no such file"),
        ("a/b", "no such file"),
        ("loop", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(CodaxError, match=reason):
            require_file(tmp_path / name)


def test_each_file_once(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/1", "a/2"):
        (tmp_path / name).touch()
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a/3").symlink_to("1")
    paths = [str(tmp_path / name) for name in ("a/2", "a/3", "b/2", "b/1", "a/1")]
    assert each_once(paths) == paths[:2]
