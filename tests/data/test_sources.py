"""Folders, manifests and shards as sources, and what is skipped."""

from __future__ import annotations

import json
import logging
import os
import struct

import numpy as np
import pytest
from codax import audio
from codax.config import DataConfig
from codax.data import records
from codax.data.shards.build import build_shards
from codax.data.sources import archives, scan
from codax.data.sources.spec import load_utterances, open_source
from codax.errors import CodaxError


def open_at_16k(spec, **options):
    return open_source(str(spec), sample_rate=16_000, **options)


def test_a_folder_is_divided_by_a_hash(tmp_path, make_audio):
    for i in range(40):
        make_audio(tmp_path / f"part{i % 3}" / f"{i}.wav", seed=i)
    everything = open_at_16k(tmp_path)
    train, held_out = open_at_16k(tmp_path, split="train"), open_at_16k(tmp_path, split="validation")
    assert len(everything) == 40 and len(held_out) >= 1
    assert {e.id for e in train} | {e.id for e in held_out} == {e.id for e in everything}
    assert not {e.id for e in train} & {e.id for e in held_out}
    assert everything[0].id == "part0-0" and everything.seconds == pytest.approx(40.0)
    with pytest.raises(CodaxError, match="no split 'test'"):
        open_at_16k(tmp_path, split="test")
    with pytest.raises(CodaxError, match=r"no split 'validation', and data\.validation_fraction 0"):
        open_at_16k(tmp_path, split="validation", config=DataConfig(validation_fraction=0.0))


def test_each_file_of_a_folder_with_links_is_listed_once(tmp_path, make_audio):
    for i in range(12):
        make_audio(tmp_path / "corpus" / f"part{i % 2}" / f"{i:02d}.wav", 0.4, seed=i)
    make_audio(tmp_path / "elsewhere" / "more" / "a.wav", 0.4, seed=20)
    alone = [entry.id for entry in open_at_16k(tmp_path / "corpus")]
    links = {
        "corpus/loop": tmp_path / "corpus",
        "corpus/part0/up": "..",
        "corpus/part0/back": "../part1/there",
        "corpus/part1/there": "../part0",
        "corpus/part1/same.wav": "01.wav",
        "corpus/zelsewhere": tmp_path / "elsewhere",
        "elsewhere/more/again": tmp_path / "elsewhere",
        "corpus/self": "self",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    everything = open_at_16k(tmp_path / "corpus")
    assert [entry.id for entry in everything] == [*alone, "zelsewhere-more-a"]
    parts = [open_at_16k(tmp_path / "corpus", split=split) for split in ("train", "validation")]
    real = [{os.path.realpath(entry.file) for entry in part} for part in parts]
    assert not real[0] & real[1] and sum(map(len, real)) == len(everything) == 13


def test_each_shard_and_archive_of_a_pattern_is_listed_once(tmp_path, make_audio, config):
    make_audio(tmp_path / "in" / "a.wav")
    build_shards(str(tmp_path / "in"), tmp_path / "out" / "deep", sample_rate=16_000)
    (tmp_path / "out" / "deep" / "loop").symlink_to("..")
    assert len(open_at_16k(tmp_path / "out" / "**" / "*.array_record")) == 1
    (tmp_path / "out" / "a.tar").touch()
    assert archives.find(str(tmp_path / "out" / "**" / "*.tar")) == [str(tmp_path / "out" / "a.tar")]


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (999, 1), (10**9, 1), (16_000, 256)])
def test_rows_of_records_with_an_absurd_rate_or_channel_count(tmp_path, rate, channels):
    row = {"file": "a.array_record", "record": 0, "sample_rate": rate, "channels": channels, "frames": 10**9}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(CodaxError, match=r"a\.jsonl:1: .*not within"):
        open_at_16k(tmp_path / "a.jsonl")
    header = json.dumps({"sample_rate": rate, "channels": channels, "frames": 1}).encode()
    record = struct.pack("<4sI", b"CDX1", len(header)) + header + bytes(2 * channels)
    with pytest.raises(ValueError, match="not within"):
        records.decode_header(record)


def test_unfit_files_are_skipped_with_one_warning(tmp_path, make_audio, caplog):
    for i in range(3):
        make_audio(tmp_path / f"good{i}.flac", seed=i)
    for i in range(5):
        audio.write(tmp_path / f"still{i}.wav", np.zeros(16_000) + 1e-5, 16_000)
    make_audio(tmp_path / "short.wav", 0.1)
    audio.write(tmp_path / "loud.wav", np.sign(np.sin(np.arange(16_000))), 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "notes.txt").write_text("not audio")
    (tmp_path / ".hidden.wav").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        source = open_at_16k(tmp_path)
    assert [e.id for e in source] == ["good0", "good1", "good2"]
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "8 files skipped" in message
    for part in (
        "1 unreadable (broken.wav)",
        "1 clipped (loud.wav)",
        "1 shorter than 0.3 s (short.wav)",
        "5 silent (still0.wav, still1.wav, still2.wav and 2 more)",
    ):
        assert part in message


def test_thresholds_may_change_although_measurements_are_remembered(tmp_path, make_audio, monkeypatch):
    make_audio(tmp_path / "a.wav", 0.5)
    make_audio(tmp_path / "b.wav", 2.0)
    assert len(open_at_16k(tmp_path)) == 2
    monkeypatch.setattr(scan, "measure", lambda path: pytest.fail("looked at a file again"))
    assert len(open_at_16k(tmp_path, config=DataConfig(min_seconds=1.0))) == 1


def test_a_changed_file_is_looked_at_again(tmp_path, make_audio):
    make_audio(tmp_path / "a.wav", 1.0)
    make_audio(tmp_path / "b.wav", 1.0)
    assert open_at_16k(tmp_path)[0].frames == 16_000
    make_audio(tmp_path / "a.wav", 2.0)
    assert open_at_16k(tmp_path)[0].frames == 32_000


def test_long_files_are_judged_by_excerpts(tmp_path):
    samples = np.zeros((61 * 8000, 1), np.float32)
    samples[30 * 8000 : 31 * 8000] = 0.5
    audio.write(tmp_path / "a.flac", samples, 8000)
    actual = scan.measure(str(tmp_path / "a.flac"))
    assert (actual.frames, actual.error) == (61 * 8000, "") and actual.loudest_db == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("name", ["nothing-here", "nothing.jsonl", "nothing*.array_record"])
def test_what_does_not_exist_is_an_error(tmp_path, name):
    with pytest.raises(CodaxError, match=r"no such file"):
        open_at_16k(tmp_path / name)


def test_an_empty_source_is_an_error(tmp_path):
    with pytest.raises(CodaxError, match="holds no audio"):
        open_at_16k(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"x")
    with pytest.raises(CodaxError, match=r"nothing to read: 1 file skipped: 1 unreadable \(a.wav\)"):
        open_at_16k(tmp_path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_manifests(tmp_path, make_audio, suffix):
    rows = []
    for i in range(4):
        make_audio(tmp_path / "audio" / f"{i}.wav", rate=8000, seed=i)
        row = {"file": f"audio/{i}.wav", "text": f"number {i}", "sample_rate": 8000, "split": "test" if i else "train"}
        rows.append(row)
    path = tmp_path / f"list{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "," if suffix == ".csv" else "\t"
        path.write_text("\n".join([mark.join(rows[0]), *(mark.join(map(str, row.values())) for row in rows)]))
    source = open_at_16k(path, split="test")
    assert (source[0].id, source[0].text, source[0].sample_rate) == ("audio-1", "number 1", 8000)
    assert source.frames(0) == 16_000 and source.read(0, 100, 50).shape == (50, 1)
    with pytest.raises(CodaxError, match="no split 'other', only test, train"):
        open_at_16k(path, split="other")


def test_a_manifest_goes_before_the_headers_of_its_records(tmp_path):
    header = {"sample_rate": 8000, "id": "h", "text": "header", "language": "fr", "file": "/etc/passwd", "record": 7}
    with records.ShardWriter(tmp_path / "a.array_record") as shard:
        for _ in range(2):
            shard.write(header, np.ones((8000, 1), np.int16))
    row = {"file": "a.array_record", "record": 0, "id": "mine", "text": "own", "language": ""}
    bare = {"file": "a.array_record", "record": 1, "frames": 5}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(bare)}\n")
    first, second = open_at_16k(tmp_path / "a.jsonl")
    assert (first.id, first.text, first.language, first.frames) == ("mine", "own", "fr", 8000)
    assert (second.id, second.text, second.frames) == ("h", "header", 8000)
    assert {first.file, second.file} == {str(tmp_path / "a.array_record")} and (first.record, second.record) == (0, 1)


def test_files_of_a_folder_have_different_ids(tmp_path, make_audio):
    for name in ("x.wav", "x.flac", "a/b.wav", "a-b.wav", "y.wav"):
        make_audio(tmp_path / name)
    ids = [entry.id for entry in open_at_16k(tmp_path)]
    assert len(set(ids)) == 5 and "y" in ids and {name[:-9] for name in ids if name != "y"} == {"x", "a-b"}


def test_a_wrong_rate_in_a_manifest_is_an_error(tmp_path, make_audio):
    make_audio(tmp_path / "a.wav", rate=8000)
    (tmp_path / "list.csv").write_text("file,sample_rate\na.wav,16000\n")
    with pytest.raises(CodaxError, match=r"a\.wav: the manifest states 16000 Hz, the audio has 8000 Hz"):
        open_at_16k(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "name,text\na.wav,hello\n", r"a\.csv:2: no 'file' column"),
        ("a.jsonl", '{"file": "a.wav"}\n{"file"\n', r"a\.jsonl:2: not JSON lines"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: expected a JSON object"),
        ("a.csv", "file,sample_rate\na.wav,fast\n", r"a\.csv:2: sample_rate is 'fast'"),
        ("a.csv", "file\na.wav\n", r"1 unreadable \(a\.wav\)"),
    ],
)
def test_bad_manifests(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(CodaxError, match=message):
        open_at_16k(tmp_path / name)


def test_a_manifest_without_validation_is_divided(tmp_path, make_audio):
    lines = ["file,split"]
    for i in range(30):
        make_audio(tmp_path / f"{i}.wav", seed=i)
        lines.append(f"{i}.wav,{'test' if i < 5 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    sizes = [len(open_at_16k(tmp_path / "list.csv", split=split)) for split in ("train", "validation", "test")]
    assert sizes[2] == 5 and sizes[0] + sizes[1] == 25 and sizes[1] >= 1


def test_rows_without_a_split_are_divided_and_the_others_keep_theirs(tmp_path, make_audio):
    stated = ["test", "", "train", "validation", *[""] * 6]
    for i in range(len(stated)):
        make_audio(tmp_path / f"{i}.wav", seed=i)
    (tmp_path / "list.csv").write_text("\n".join(["file,split", *(f"{i}.wav,{s}" for i, s in enumerate(stated))]))
    build_shards(str(tmp_path / "list.csv"), tmp_path / "out", sample_rate=16_000)
    names = ("train", "validation", "test")
    parts = {split: {e.id for e in open_at_16k(tmp_path / "list.csv", split=split)} for split in names}
    assert parts["test"] == {"0"} and "2" in parts["train"] and "3" in parts["validation"]
    assert sum(map(len, parts.values())) == 10 and min(len(parts["train"]), len(parts["validation"])) >= 2
    assert {split: {e.id for e in open_at_16k(tmp_path / "out", split=split)} for split in names} == parts


def test_shards_made_of_a_folder_hold_the_same_audio(tmp_path, make_audio):
    for i in range(6):
        make_audio(tmp_path / "in" / f"{i}.wav", 1.0 + i, channels=2, seed=i)
    (tmp_path / "in" / "transcripts.tsv").write_text("0.wav\tzero\n")
    path = build_shards(str(tmp_path / "in"), tmp_path / "out", sample_rate=16_000, max_seconds=2.5)
    with pytest.raises(CodaxError, match="already holds"):
        build_shards(str(tmp_path / "in"), tmp_path / "out", sample_rate=16_000)
    original = open_at_16k(tmp_path / "in")
    for spec in (path, tmp_path / "out", tmp_path / "out" / "*.array_record"):
        source = open_at_16k(spec)
        assert source.seconds == pytest.approx(original.seconds)
        assert {e.text for e in source if e.id == "0"} == {"zero"}
        whole = np.concatenate([source.read(i) for i in range(len(source)) if source[i].id.startswith("3-")])
        np.testing.assert_array_equal(whole, original.read(3))
    path.unlink()  # shards describe themselves
    assert open_at_16k(tmp_path / "out" / "*.array_record").seconds == pytest.approx(original.seconds)
    assert max(e.seconds for e in source) <= 3.5


@pytest.mark.parametrize(("rate", "target"), [(44_100, 16_000), (8000, 24_000), (16_000, 24_000)])
def test_excerpts_equal_the_resampled_whole(tmp_path, make_audio, rate, target):
    make_audio(tmp_path / "a.flac", 3.0, rate=rate)
    source = open_source(str(tmp_path / "a.flac"), sample_rate=target)
    whole = source.read(0)
    assert len(whole) == source.frames(0) == 3 * target
    for start in (0, 1, 777, target, 2 * target + 5, 3 * target - 100):
        part = source.read(0, start, 1000)
        assert len(part) == min(1000, len(whole) - start)
        np.testing.assert_allclose(part, whole[start : start + 1000], atol=1e-4)


def test_records_held_in_memory_are_the_same(tmp_path, make_audio):
    make_audio(tmp_path / "in" / "a.wav", 2.0)
    build_shards(str(tmp_path / "in"), tmp_path / "out", sample_rate=16_000)
    plain, held = open_at_16k(tmp_path / "out"), open_at_16k(tmp_path / "out")
    held.hold(1)
    for _ in range(2):
        np.testing.assert_array_equal(held.read(0, 5, 100), plain.read(0, 5, 100))


def test_utterances_of_a_folder_with_transcripts(tmp_path, make_audio):
    for i in range(5):
        make_audio(tmp_path / f"{i}.wav", rate=8000, seed=i)
    (tmp_path / "transcripts.tsv").write_text("file\ttext\n0.wav\tzero\n3\tthree\n")
    actual = load_utterances(str(tmp_path), sample_rate=16_000)
    assert [u.text for u in actual] == ["zero", None, None, "three", None]
    assert actual[0].audio.shape == (16_000, 1) and actual[0].sample_rate == 16_000
    assert [u.id for u in load_utterances(str(tmp_path), sample_rate=16_000, limit=2)] == ["0", "2"]
    (tmp_path / "transcripts.tsv").write_text("0.wav zero\n")
    with pytest.raises(CodaxError, match=r"transcripts\.tsv:1: expected a file name, a tab"):
        load_utterances(str(tmp_path), sample_rate=16_000)
