"""Tar and parquet files as sources of a build: what is used, what is counted, and what is damaged."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from codax.data import manifest
from codax.data.shards.build import build_shards
from codax.data.sources import archives, members, tars
from codax.data.sources.spec import open_source
from codax.errors import CodaxError
from signals import uniform_noise


def sound(seconds: float = 0.5, seed: int = 0, kind: str = "FLAC", rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, uniform_noise(seconds, rate, seed=seed), rate, format=kind)
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def good(count: int, first: int = 0) -> dict[str, bytes]:
    files = {}
    for i in range(first, first + count):
        files |= {f"a/{i:03d}.flac": sound(0.4 + 0.1 * (i % 4), i), f"a/{i:03d}.txt": f"number {i}\n".encode()}
    return files


def build(spec, out: Path, **options) -> tuple[list[dict], dict]:
    """Rows of the manifest, and the statistics."""
    path = build_shards(str(spec), out, sample_rate=options.pop("sample_rate", 16_000), **options)
    return manifest.read(path), json.loads((out / "statistics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz")])
def test_tar_files_become_shards_with_text(tmp_path, suffix, mode):
    for i in range(3):
        write_tar(tmp_path / f"part-{i}{suffix}", good(20, 20 * i), mode)
    rows, facts = build(f"{tmp_path}/part-*{suffix}", tmp_path / "out")
    assert [row["text"] for row in rows] == [f"number {i}" for i in range(60)]
    assert rows[21]["id"] == "part-1-a-021" and facts["utterances"] == facts["records"] == 60
    assert {row["split"] for row in rows} == {"train", "validation"} and facts["rates"] == {"16000": 60}
    assert facts["hours"] == pytest.approx(60 * 0.55 / 3600, abs=1e-6) and not facts["skipped"]
    source = open_source(str(tmp_path / "out"), sample_rate=16_000)
    samples = next(source.read(i) for i in range(60) if source[i].id == "part-1-a-021")
    np.testing.assert_allclose(samples, uniform_noise(0.5, seed=21), atol=2e-4)
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.suffix != ".array_record") == [
        "manifest.jsonl",
        "statistics.json",
    ]


def test_names_with_brackets_are_no_patterns(tmp_path):
    write_tar(tmp_path / "music [2020].tar", good(2))
    rows, _ = build(tmp_path / "music [2020].tar", tmp_path / "out [1]")
    assert [row["text"] for row in rows] == ["number 0", "number 1"]
    [shard, *_] = (tmp_path / "out [1]").glob("*.array_record")
    assert len(open_source(str(shard), sample_rate=16_000))


def test_json_members_and_names_of_splits(tmp_path):
    about = {"sentence": "hello", "language": "cy", "speaker": 7, "license": "CC0", "split": "test", "other": [1]}
    files = {
        "x.opus.tar": b"",  # no member of ours
        "x.json": json.dumps(about).encode(),
        "x.wav": sound(kind="WAV"),
        "y.ogg": sound(kind="OGG", rate=48_000),
        "y.json": b'{"text": "half \\ud800 a character"}',
    }
    write_tar(tmp_path / "one.tar", files)
    own = {"y.flac": sound(), "y.json": b'{"split": "test"}'}  # goes before the name of the file
    write_tar(tmp_path / "validation-0.tar", {"x.flac": sound(), **own})
    rows, _ = build(tmp_path / "*.tar", tmp_path / "out")
    assert {key: rows[0][key] for key in ("id", "text", "language", "speaker", "licence", "split")} == {
        "id": "one-x",
        "text": "hello",
        "language": "cy",
        "speaker": "7",
        "licence": "CC0",
        "split": "test",
    }
    assert rows[1]["text"] == "half ? a character"
    assert [(row["id"], row["split"]) for row in rows[1:]] == [
        ("one-y", "train"),
        ("validation-0-x", "validation"),
        ("validation-0-y", "test"),
    ]


def test_bad_members_are_counted_by_reason(tmp_path, caplog):
    files = good(2) | {
        "b/\udcff.flac": b"no name that could be printed",
        "b/broken.flac": sound()[:300] + b"\0" * 500,
        "b/broken.txt": b"x",
        "b/none.txt": b"a text without audio",
        "b/latin.flac": sound(),
        "b/latin.txt": "é".encode("latin-1"),
        "b/list.json": b"[1]",
        "b/list.flac": sound(),
        "b/cut.json": b"{",
        "b/cut.flac": sound(),
        "b/deep.json": b"[" * 100_000,
        "b/deep.flac": sound(),
        "b/short.flac": sound(0.1),
        "b/two.flac": sound(),
        "b/two.wav": sound(kind="WAV"),
        "b/path.json": json.dumps({"split": "../../evil"}).encode(),
        "b/path.flac": sound(),
        "b/huge.json": b" " * (members.MAX_SIDE_BYTES + 1),
        "b/huge.flac": sound(),
        "b/long.txt": b"a" * 140_000,
        "b/long.flac": sound(),
        ".hidden.flac": b"",
        "a/000.flac": sound(),  # again
    }
    write_tar(tmp_path / "a.tar", files)
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"b/link{kind!r}.flac")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("a/001.flac")
        info.size = len(sound())
        archive.addfile(info, io.BytesIO(sound()))
    with caplog.at_level(logging.WARNING):
        rows, facts = build(tmp_path / "a.tar", tmp_path / "out")
    assert [row["id"] for row in rows] == ["a-a-000", "a-a-001"]
    assert {reason: some["count"] for reason, some in facts["skipped"].items()} == {
        "unreadable": 2,
        "no audio member": 1,
        "text is not UTF-8": 1,
        "json member is not an object": 1,
        "json member is not JSON": 2,
        "shorter than 0.3 s": 1,
        "several audio members with one key": 1,
        "split is not a valid file name": 1,
        "json member is too large": 1,
        "text is too long": 1,
        "duplicate name": 1,
    }
    assert facts["skipped"]["no audio member"]["examples"] == ["a-b-none"] and not facts["damaged"]
    assert len(caplog.records) == 1 and "13 skipped: " in caplog.records[0].getMessage()


def test_damaged_tar_files_are_named_and_what_came_before_is_used(tmp_path, caplog):
    whole = write_tar(tmp_path / "whole.tar", good(6)).read_bytes()
    packed = write_tar(tmp_path / "packed.tar.gz", good(6), "w:gz").read_bytes()
    (tmp_path / "packed.tar.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    with tarfile.open(tmp_path / "whole.tar") as archive:
        place = archive.getmember("a/004.flac").offset
    (tmp_path / "header.tar").write_bytes(whole[:place] + b"\xff" * 512 + whole[place + 512 :])
    (tmp_path / "ends.tar").write_bytes(whole[:place])
    (tmp_path / "nothing.tar").write_bytes(b"")
    (tmp_path / "other.tar").write_bytes(b"not a tar file" * 100)
    with caplog.at_level(logging.WARNING):
        rows, facts = build(tmp_path / "*.tar*", tmp_path / "out")
    names = {Path(path).name for path in facts["damaged"]}
    assert names == {"packed.tar.gz", "cut.tar", "header.tar", "ends.tar", "nothing.tar", "other.tar"}
    used = {name: sum(row["id"].startswith(f"{name}-") for row in rows) for name in ("whole", "cut", "header", "ends")}
    assert used["whole"] == 6 and 1 <= used["cut"] <= 3 and used["header"] == 3 and used["ends"] == 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 6 and all("\n" not in line and "the audio before that was used" in line for line in lines)
    with pytest.raises(CodaxError, match=r"nothing to build: .*other\.tar: .*; 0 skipped"):
        build(tmp_path / "other.tar", tmp_path / "none")


def test_mutated_tar_files_never_crash(tmp_path):
    data = write_tar(tmp_path / "whole.tar", good(3) | {"b.json": b"{}"}).read_bytes()
    rng = np.random.default_rng(0)
    for i in range(30):
        mutated = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            mutated[at] ^= int(rng.integers(1, 256))
        at = int(rng.integers(0, 4)) * 512 + int(rng.integers(0, 512))
        mutated[at] ^= 1
        (tmp_path / f"{i}.tar").write_bytes(mutated)
    rows, facts = build(tmp_path / "*.tar", tmp_path / "out")
    assert len(rows) >= 3 and facts["damaged"]


def test_archives_are_not_read_at_random(tmp_path):
    write_tar(tmp_path / "a.tar", good(1))
    with pytest.raises(CodaxError, match=r"a\.tar: allows sequential reading only: make shards"):
        open_source(str(tmp_path / "a.tar"), sample_rate=16_000)
    for name in ("b.tar", "*.parquet"):
        with pytest.raises(CodaxError, match="no such file"):
            build(tmp_path / name, tmp_path / "out")


def write_parquet(path: Path, rows: list[dict], **options) -> Path:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {"audio": pyarrow.array([row.pop("audio") for row in rows], kind)}
    columns |= {name: [row[name] for row in rows] for name in rows[0]}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=10, **options)
    return path


@pytest.mark.parametrize("text", ["text", "transcript", "sentence"])
def test_parquet_files_become_shards_with_text(tmp_path, text):
    for i in range(2):
        rows = [
            {"audio": {"bytes": sound(0.5, 25 * i + k), "path": f"{k}.flac"}, text: f"no {25 * i + k}", "id": k}
            for k in range(25)
        ]
        rows[3]["audio"] = {"bytes": None, "path": "elsewhere.flac"}
        rows[4]["audio"] = None
        rows[5]["audio"] = {"bytes": b"nothing", "path": None}
        write_parquet(tmp_path / f"{'train' if i else 'test'}-{i}.parquet", rows)
    rows, facts = build(tmp_path / "*.parquet", tmp_path / "out", sample_rate=8000)
    numbers = [i for i in range(50) if i % 25 not in (3, 4, 5)]
    assert [row["text"] for row in rows[:22]] == [f"no {i}" for i in numbers[:22]]  # test-0 comes first
    assert [row["split"] for row in rows] == ["test"] * 22 + ["train"] * 22
    assert rows[3]["id"] == "test-0-0000006" and rows[3]["frames"] == 4000
    assert {reason: some["count"] for reason, some in facts["skipped"].items()} == {
        "no bytes of audio": 4,
        "unreadable": 2,
    }


def test_damaged_parquet_files_are_named(tmp_path):
    rows = [{"audio": {"bytes": sound(seed=k), "path": f"{k}.flac"}, "text": "t"} for k in range(30)]
    whole = write_parquet(tmp_path / "whole.parquet", rows, compression="NONE").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "middle.parquet").write_bytes(whole[:4] + b"\xff" * 64 + whole[68:])
    rows = [{"audio": {"bytes": sound(), "path": "a"}, "text": "t"}]
    write_parquet(tmp_path / "a.parquet", rows)
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"audio": [b"1"], "text": ["t"]}), tmp_path / "flat.parquet")
    rows, facts = build(tmp_path / "*.parquet", tmp_path / "out")
    assert {Path(path).name for path in facts["damaged"]} == {"cut.parquet", "middle.parquet", "flat.parquet"}
    assert "has no column 'audio'" in facts["damaged"][str(tmp_path / "flat.parquet")]
    assert sum(row["id"].startswith("whole-") for row in rows) == 30


def test_parquet_without_pyarrow_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(CodaxError, match=r"a\.parquet: parquet files need pyarrow: pip install .*\[parquet\]"):
        build(tmp_path / "a.parquet", tmp_path / "out")


def test_parquet_files_that_expand_too_far_are_refused(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from codax.data.sources import parquet
    from pyarrow.parquet import write_table

    monkeypatch.setattr(parquet, "_ALWAYS", 1000)
    for name, content in (("good", sound()), ("bomb", bytes(1 << 20))):
        table = pyarrow.table({"audio": [{"bytes": content, "path": "a.flac"}]})
        write_table(table, tmp_path / f"{name}.parquet", compression="zstd", use_dictionary=False)
    assert len(list(parquet.members(str(tmp_path / "good.parquet")))) == 1
    with pytest.raises(members.ArchiveError, match=r"bomb\.parquet: row group 0 declares \d+ bytes, more than"):
        next(parquet.members(str(tmp_path / "bomb.parquet")))


def test_an_archive_that_expands_without_end_is_refused(tmp_path, monkeypatch):
    """Each of its members is small enough, but not all of them together."""
    monkeypatch.setattr(tars, "_ALWAYS", 1 << 16)
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(40):
            info = tarfile.TarInfo(f"{number}.bin")
            info.size = 60_000
            archive.addfile(info, io.BytesIO(bytes(60_000)))
    with pytest.raises(CodaxError, match="expands to more than"):
        list(archives.members(str(path)))
