"""Token data sets: codes equal to those of `encode`, resume, formats, and bad input."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import small_models
from codax import audio
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source
from codax.errors import CodaxError
from codax.storage.digests import file_sha256
from codax.storage.staging import only_writer
from codax.tokens import TokenDataset, build, encoding, shards
from codax.tokens.decoding import decoder_for
from command import run  # noqa: F401
from signals import uniform_noise

FILES = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Short files of two rates and channel counts with texts, and some that are unfit."""
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(FILES):
        rate, channels = (8_000, 1) if i % 3 else (16_000, 2)
        samples = uniform_noise(0.4 + i % 5 / 4, rate, seed=i)
        audio.write(folder / f"{i:02d}.wav", np.repeat(samples.reshape(len(samples), -1), channels, axis=1), rate)
    audio.write(folder / "still.wav", np.zeros(8_000), 8_000)
    (folder / "broken.flac").write_bytes(b"fLaC")
    (folder / "transcripts.tsv").write_text("file\ttext\n01.wav\tone two\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "small"
    small_models.codec("soundstream").save(folder)
    return folder


def digest(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    build.build_tokens(str(corpus), out, small_models.codec("soundstream"), shard_mb=1)
    return out


@pytest.mark.parametrize(
    ("name", "form"), [("soundstream", "parquet"), ("encodec_48khz", "arrayrecord"), ("encodec_48khz", "parquet")]
)
def test_codes_and_audio_are_those_of_the_codec(corpus, tmp_path, name, form):
    codec = small_models.codec(name)
    spec = str(corpus if name == "soundstream" else corpus / "03.wav")
    build.build_tokens(spec, tmp_path / "out", codec, form=form, num_quantizers=3)
    dataset = TokenDataset(tmp_path / "out")
    source = open_source(spec, sample_rate=codec.config.model.sample_rate)
    expected = {entry.id: source.read(i) for i, entry in enumerate(source)}
    decode = decoder_for(dataset, codec)
    assert sorted(expected) == sorted(record["id"] for record in dataset)
    for i in range(0, len(dataset), 5):
        record = dataset[i]
        samples = expected[record["id"]]
        if codec.config.model.audio_channels == 1:
            samples = samples.mean(axis=1, keepdims=True)
        else:
            samples = np.repeat(samples[:, :1], 2, axis=1)
        tokens = codec.encode(samples, num_quantizers=3)
        assert record["codes"].dtype == np.int16 and record["length"] == len(samples)
        assert np.array_equal(record["codes"], tokens.codes[0])
        assert np.array_equal(decode(record), codec.decode(tokens)[0])


def test_the_description_has_the_model_the_hours_and_the_use(undisturbed):
    about = TokenDataset(undisturbed).about
    codec = small_models.codec("soundstream")
    assert about["hash"] == codec.hash.hex() and about["model"] == codec.model_id
    assert about["codebook_sizes"] == [32] * 4 and about["frame_rate"] == codec.config.frame_rate
    assert about["records"] == FILES == sum(split["records"] for split in about["splits"].values())
    assert sum(group["count"] for group in about["skipped"].values()) == 2
    records = list(TokenDataset(undisturbed))
    assert about["tokens"] == sum(record["codes"].size for record in records)
    first = np.concatenate([record["codes"][:, 0] for record in records])
    shares = np.bincount(first, minlength=32) / len(first)
    assert about["use"][0]["coverage"] == pytest.approx(np.mean(shares > 0), abs=1e-4)
    assert about["use"][0]["perplexity"] == pytest.approx(2 ** -np.sum(shares * np.log2(shares + 1e-12)), abs=0.02)
    texts = {record["id"]: record.get("text") for record in records}
    assert texts["01"] == "one two" and texts["02"] is None


def test_splits_are_opened_by_name(undisturbed):
    lengths = {name: len(TokenDataset(undisturbed, name)) for name in TokenDataset(undisturbed).about["splits"]}
    assert sum(lengths.values()) == FILES and len(lengths) == 2
    with pytest.raises(CodaxError, match="has no split 'dev', only train, validation"):
        TokenDataset(undisturbed, "dev")


def test_pyarrow_reads_the_shards(undisturbed):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    name = next(iter(TokenDataset(undisturbed).about["shards"]))
    rows = pyarrow.read_table(undisturbed / name).to_pylist()
    assert np.array_equal(np.asarray(rows[0]["codes"]), TokenDataset(undisturbed)[0]["codes"])


def test_workers_and_batches_do_not_change_the_bytes(undisturbed, corpus, tmp_path, monkeypatch):
    codec = small_models.codec("soundstream")
    build.build_tokens(str(corpus), tmp_path / "one", codec, shard_mb=1, workers=1)
    assert digest(tmp_path / "one") == digest(undisturbed)
    # As on an accelerator: clips of similar lengths together. On a CPU each still has the codes that it has alone.
    monkeypatch.setattr(encoding, "platform", lambda: "gpu")
    build.build_tokens(str(corpus), tmp_path / "batches", codec, shard_mb=1)
    assert digest(tmp_path / "batches") == digest(undisturbed)


def test_long_files_become_records_of_their_own(tmp_path):
    codec = small_models.codec("soundstream")
    audio.write(tmp_path / "long.wav", uniform_noise(7.5, 8_000, seed=1), 8_000)
    build.build_tokens(str(tmp_path / "long.wav"), tmp_path / "out", codec, max_seconds=3.0)
    records = list(TokenDataset(tmp_path / "out"))
    assert [record["id"] for record in records] == ["long-0000", "long-0001", "long-0002"]
    assert [record["length"] for record in records] == [24_000, 24_000, 12_000]


def test_a_build_resumes_after_a_failure(undisturbed, corpus, tmp_path, monkeypatch):
    codec, write_report, calls = small_models.codec("soundstream"), build.parts.write_report, []

    def fails(*args):
        if calls:
            raise CodaxError("disk full")
        calls.append(args)
        write_report(*args)

    monkeypatch.setattr(build.parts, "write_report", fails)
    with pytest.raises(CodaxError, match="disk full"):
        build.build_tokens(str(corpus), tmp_path / "out", codec, shard_mb=1)
    monkeypatch.undo()
    with pytest.raises(CodaxError, match="no dataset.json.*resumes"):
        TokenDataset(tmp_path / "out")
    with pytest.raises(CodaxError, match="other options"):
        build.build_tokens(str(corpus), tmp_path / "out", codec, shard_mb=1, num_quantizers=1)
    build.build_tokens(str(corpus), tmp_path / "out", codec, shard_mb=1)
    assert digest(tmp_path / "out") == digest(undisturbed)


def start(corpus: Path, out: Path, model: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "codax.cli.main", "tokenize", corpus, "--out", out, "--model", model]
    return subprocess.Popen([*command, "--shard-mb", "1"], start_new_session=True, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("moment", ["*.parquet", ".build/train-*.json"])
def test_a_command_killed_at_a_shard_or_a_report_resumes_with_the_same_bytes(
    undisturbed, corpus, model, tmp_path, moment
):
    out = tmp_path / "out"
    process = start(corpus, out, model)
    deadline = time.monotonic() + 120
    while not any(out.glob(moment)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    kill(process)
    assert not (out / "dataset.json").exists()
    build.build_tokens(str(corpus), out, small_models.codec("soundstream"), shard_mb=1)
    assert digest(out) == digest(undisturbed)


@pytest.mark.nightly
def test_a_command_killed_at_random_moments_resumes_with_the_same_bytes(undisturbed, corpus, model, tmp_path):
    out, rng = tmp_path / "out", random.Random(0)
    for _ in range(10):
        process = start(corpus, out, model)
        time.sleep(rng.uniform(0.5, 6))
        kill(process)
        if (out / "dataset.json").exists():
            break
    else:
        assert start(corpus, out, model).wait() == 0
    assert digest(out) == digest(undisturbed)


def test_one_command_at_a_time_writes_a_data_set(corpus, tmp_path):
    with only_writer(tmp_path / "out"), pytest.raises(CodaxError, match="another command is writing") as caught:
        build.build_tokens(str(corpus), tmp_path / "out", small_models.codec("soundstream"))
    assert "\n" not in str(caught.value)


def test_every_kind_of_source_gives_the_same_codes(corpus, tmp_path):
    names = ["01", "02", "04"]
    files = {name: (corpus / f"{name}.wav").read_bytes() for name in names}
    (tmp_path / "folder").mkdir()
    for name in names:
        (tmp_path / "folder" / f"{name}.wav").write_bytes(files[name])
    rows = [{"file": f"folder/{name}.wav", "id": name, "speaker": "a"} for name in names]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for name in names:
            archive.add(corpus / f"{name}.wav", f"{name}.wav")
    pyarrow = shards.parquet()
    table = pyarrow.table({"audio": [{"bytes": data, "path": f"{name}.wav"} for name, data in files.items()]})
    pyarrow.parquet.write_table(table, tmp_path / "all.parquet")
    build_shards(str(tmp_path / "folder"), tmp_path / "shards", sample_rate=8_000)
    codes = {}
    for spec in ("folder", "list.jsonl", "all.tar", "all.parquet", "shards", "shards/*.array_record"):
        out = tmp_path / f"out-{len(codes)}"
        build.build_tokens(str(tmp_path / spec), out, small_models.codec("soundstream"))
        codes[spec] = sorted((len(record["codes"]), record["codes"].tobytes()) for record in TokenDataset(out))
    assert all(len(each) == 3 and each == codes["folder"] for each in codes.values()), codes.keys()


def test_the_commands_and_what_they_refuse(run, corpus, model, undisturbed, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    status, printed, _ = run("tokenize", corpus, "--out", out, "--model", model, "--shard-mb", 1)
    assert status == 0 and f"{FILES} records" in printed and "2 skipped" in printed
    assert digest(out) == digest(undisturbed)
    status, printed, _ = run("detokenize", out, "--out", tmp_path / "wav", "--model", model, "--ids", "01,05")
    assert status == 0 and sorted(path.name for path in (tmp_path / "wav").iterdir()) == ["01.wav", "05.wav"]
    codec, samples = small_models.codec("soundstream"), audio.read(corpus / "01.wav")[0]
    audio.write(tmp_path / "decoded.wav", codec.decode(codec.encode(samples))[0], 8_000)
    assert (tmp_path / "wav" / "01.wav").read_bytes() == (tmp_path / "decoded.wav").read_bytes()

    assert run("detokenize", out, "--out", tmp_path / "found", "--ids", "01")[0] == 0  # tokenize remembers its model

    def refused(*args: object) -> str:
        status, _, error = run(*args)
        assert status == 1 and error.count("\n") == 1, error
        return error

    assert "not empty" in refused("tokenize", corpus, "--out", out, "--model", model)
    assert "no such model" in refused("tokenize", corpus, "--out", tmp_path / "x", "--model", "nothing")
    assert "9 quantizers: the model has 1 to 4" in refused(
        "tokenize", corpus, "--out", tmp_path / "x", "--model", model, "--codebooks", 9
    )
    missing = tmp_path / "new" / "folder" / "out"
    assert "no such file or folder" in refused("tokenize", tmp_path / "none", "--out", missing, "--model", model)
    assert not (tmp_path / "new").exists() and not (tmp_path / "x").exists()
    assert "give one of them" in refused(
        "tokenize", corpus, "--out", tmp_path / "x", "--model", model, "--kbps", 1, "--codebooks", 2
    )
    assert "has tokens of model" in refused("detokenize", out, "--out", tmp_path / "y", "--model", "soundstream-speech")
    assert "no record 99" in refused("detokenize", out, "--out", tmp_path / "y", "--model", model, "--ids", "99")
    assert "holds no dataset.json" in refused("detokenize", corpus, "--out", tmp_path / "y")
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "empty"))  # a data set's model is never downloaded by its name
    about = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps({**about, "model": "owner/name"}))
    assert "model owner/name with hash" in (error := refused("detokenize", out, "--out", tmp_path / "y"))
    assert "is not found: name it (--model)" in error


@pytest.mark.parametrize("form", shards.FORMATS)
def test_damaged_data_sets_are_refused_in_one_line(corpus, tmp_path, form):
    whole = tmp_path / "whole"
    build.build_tokens(str(corpus), whole, small_models.codec("soundstream"), form=form)
    about = json.loads((whole / "dataset.json").read_text())
    name = next(iter(about["shards"]))

    def read(change) -> None:
        out = tmp_path / "changed"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        change(out)
        list(TokenDataset(out))

    def other_byte(folder: Path, at: int) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at % len(data)] ^= 0xFF
        (folder / name).write_bytes(data)

    def other_facts(folder: Path, **facts: object) -> None:
        (folder / "dataset.json").write_text(json.dumps({**about, **facts}))

    read(lambda folder: None)
    for change in (
        lambda folder: (folder / name).unlink(),
        lambda folder: (folder / name).write_bytes(b""),
        lambda folder: (folder / name).write_bytes(bytes(about["shards"][name]["bytes"])),
        lambda folder: shutil.copy(folder / name, folder / f"other{Path(name).suffix}"),
        lambda folder: other_facts(folder, hash="00" * 8),
        lambda folder: other_facts(folder, kind="audio"),
        lambda folder: other_facts(folder, codebook_sizes=[2, 2, 2, 2]),
        lambda folder: other_facts(folder, codebook_sizes=[32]),
        lambda folder: other_facts(folder, format="csv"),
        lambda folder: other_facts(folder, shards={"../" + name: about["shards"][name]}),
        lambda folder: other_facts(folder, shards={name: {**about["shards"][name], "records": 5}}),
    ):
        with pytest.raises(CodaxError) as caught:
            read(change)
        assert "\n" not in str(caught.value)
    with pytest.raises(CodaxError, match=r"dataset\.json: not a readable description of tokens"):
        read(lambda folder: (folder / "dataset.json").write_text("{"))
    size = about["shards"][name]["bytes"]
    for at in np.random.default_rng(0).integers(0, size, 60):
        try:
            read(lambda folder, at=at: other_byte(folder, int(at)))
        except CodaxError as error:
            assert "\n" not in str(error)
