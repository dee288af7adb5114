"""Builds of shards: parts, engines, interruptions; whatever happens, the same files."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from codax import audio
from codax.config import DataConfig
from codax.data import manifest, records
from codax.data.shards import build, parts, plan
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source
from codax.errors import CodaxError
from codax.storage.digests import file_sha256
from signals import uniform_noise

COMMAND = (sys.executable, "-m", "codax.cli.main", "data", "build")
FILES = 120


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Two minutes in small files, and some that are unfit."""
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(FILES):
        audio.write(folder / f"{i:03d}.wav", uniform_noise(0.5 + i % 5 / 2, 44_100, seed=i), 44_100)
    audio.write(folder / "still.wav", np.zeros(44_100), 44_100)
    (folder / "broken.flac").write_bytes(b"fLaC")
    return folder


def digest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_sha256(path) for path in files}


def options(spec: object, **changes) -> plan.Options:
    return dataclasses.replace(plan.Options(str(spec), 16_000, 30.0, 1, DataConfig()), **changes)


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    build_shards(str(corpus), out, sample_rate=16_000, shard_mb=1)
    return out


def test_statistics_tell_what_was_built(undisturbed, corpus):
    facts = json.loads((undisturbed / build.STATISTICS).read_text(encoding="utf-8"))
    rows = manifest.read(undisturbed / manifest.NAME)
    assert facts["records"] == facts["utterances"] == len(rows) == FILES and facts["rates"] == {"44100": FILES}
    assert facts["hours"] == pytest.approx(FILES * 1.5 / 3600, rel=1e-3)
    assert sum(split["records"] for split in facts["splits"].values()) == FILES
    assert facts["skipped"] == {
        "silent": {"count": 1, "examples": ["still.wav"]},
        "unreadable": {"count": 1, "examples": ["broken.flac"]},
    }
    assert set(facts["shards"]) == {path.name for path in undisturbed.glob("*.array_record")}
    for name, about in facts["shards"].items():
        assert file_sha256(undisturbed / name) == about["sha256"]
        assert len(records.Shard(undisturbed / name)) == about["records"]
    assert len(facts["shards"]) > 10 and not any(path.name.startswith(".") for path in undisturbed.iterdir())
    source = open_source(str(undisturbed), sample_rate=16_000)
    assert source.seconds == pytest.approx(open_source(str(corpus), sample_rate=16_000).seconds, rel=1e-3)


def test_parts_in_any_order_repeated_and_interrupted_give_the_same_files(undisturbed, corpus, tmp_path):
    """An engine as bad as a runner may be: twice the same item, a failure in the middle of one, in a random order."""
    rng = random.Random(0)
    out = tmp_path / "out"

    def engine(items, work):
        order = [*items, *rng.sample(items, len(items) // 2)]
        rng.shuffle(order)
        for item in order[: len(order) // 3]:
            work(item)
        raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            build_shards(str(corpus), out, sample_rate=16_000, shard_mb=1, engine=engine)
    assert not (out / manifest.NAME).exists()
    build_shards(str(corpus), out, sample_rate=16_000, shard_mb=1)
    assert digest(out) == digest(undisturbed)


def test_a_part_that_fails_leaves_no_shard_and_is_made_again(undisturbed, corpus, tmp_path, monkeypatch):
    out, written = tmp_path / "out", []
    original = records.ShardWriter.write

    def write(self, meta, samples):
        written.append(meta["id"])
        if len(written) == 60:
            raise OSError(28, "No space left on device")
        return original(self, meta, samples)

    monkeypatch.setattr(records.ShardWriter, "write", write)
    with pytest.raises(OSError, match="No space"):
        build_shards(str(corpus), out, sample_rate=16_000, shard_mb=1)
    monkeypatch.setattr(records.ShardWriter, "write", original)
    for path in out.glob("*.array_record"):
        assert digest(out)[path.name] == digest(undisturbed)[path.name]
    # A shard that has since been cut short is made again.
    victim = min(out.glob("*.array_record"))
    victim.write_bytes(victim.read_bytes()[:1000])
    build_shards(str(corpus), out, sample_rate=16_000, shard_mb=1)
    assert digest(out) == digest(undisturbed)


def test_a_full_part_goes_on_in_another_shard(corpus, tmp_path):
    """Mono recordings that become more than they were: the part's audio has more bytes after resampling."""
    rows = []
    for rate in (16_000, 192_000):
        out = tmp_path / str(rate)
        rows.append(manifest.read(build_shards(str(corpus), out, sample_rate=rate, shard_mb=1)))
    assert any(row["file"].endswith("-01.array_record") for row in rows[1])
    assert not any(row["file"].endswith("-01.array_record") for row in rows[0])
    assert [row["id"] for row in rows[0]] == [row["id"] for row in rows[1]]
    for path in (tmp_path / "192000").glob("*.array_record"):
        assert path.stat().st_size < 1.3e6
    with pytest.raises(CodaxError, match="already holds a manifest"):
        build_shards(str(corpus), tmp_path / "16000", sample_rate=16_000)


def test_an_unfinished_build_of_something_else_is_refused(corpus, tmp_path, make_audio):
    source, out = tmp_path / "in", tmp_path / "out"
    for i in range(3):
        make_audio(source / f"{i}.wav", seed=i)
    plan.prepare(out, options(source))
    assert plan.prepare(out, options(source))
    for other in (options(corpus), options(source, sample_rate=8000), options(source, max_seconds=1.0)):
        with pytest.raises(CodaxError, match="holds an unfinished build with other options"):
            plan.prepare(out, other)
    make_audio(source / "0.wav", 2.0)  # changed since
    with pytest.raises(CodaxError, match="or of files that have changed since"):
        plan.prepare(out, options(source))
    (out / "train-00000-00.array_record").write_bytes(b"")
    (out / plan.WORK / "plan.jsonl").unlink()
    with pytest.raises(CodaxError, match="already holds other shards"):
        plan.prepare(out, options(source))


def test_a_part_tells_apart_done_and_not_done(corpus, tmp_path):
    out = tmp_path / "out"
    place = plan.prepare(out, options(corpus))[3]
    read, part = plan.read(out, place.position)
    assert read == options(corpus) and part.rows[0]["stamp"] and place.report.name == part.report
    assert parts.read_report(out, place.report) is None
    count = parts.build_part(str(out), place.position)
    assert count == len(part.rows) == len((parts.read_report(out, place.report) or {})["rows"])
    place.report.write_text("{")
    assert parts.read_report(out, place.report) is None


def run_build(corpus: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [*COMMAND, str(corpus), "--out", str(out), "--sample-rate", "16000", "--shard-mb", "1", *more]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ.copy(),
    )


def test_beam_builds_the_same_after_a_kill_at_a_random_moment(undisturbed, corpus, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    out = tmp_path / "out"
    process = run_build(corpus, out, "--engine", "beam")
    expected = random.randint(1, len(list(undisturbed.glob("*.array_record"))) // 2)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if len(list((out / plan.WORK).glob("*-*.json"))) >= expected:
            break
        time.sleep(0.002)
    time.sleep(random.uniform(0.0, 0.02))
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / manifest.NAME).exists()
    done = len(list((out / plan.WORK).glob("*-*.json")))
    assert 0 < done < len(list(undisturbed.glob("*.array_record")))

    repeated = run_build(corpus, out, "--engine", "beam")
    output, errors = repeated.communicate(timeout=120)
    assert repeated.returncode == 0, errors
    assert output.strip() == str(out / manifest.NAME) and f"resumes: {done} of " in errors
    assert digest(out) == digest(undisturbed)


def test_beam_says_in_one_line_what_is_wrong(corpus, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    from codax.data.shards import apache_beam

    with pytest.raises(CodaxError, match=r"options for Beam: no such option: --worker_count"):
        apache_beam.engine("DirectRunner", ["--worker_count=3"])
    with pytest.raises(CodaxError, match=r"options for Beam: argument --direct_num_workers: invalid int value: 'x'"):
        apache_beam.engine("DirectRunner", ["--direct_num_workers=x"])
    (tmp_path / "list.csv").write_text(f"file,sample_rate\n{corpus / '000.wav'},16000\n")
    with pytest.raises(CodaxError) as caught:
        engine = apache_beam.engine("DirectRunner")
        build_shards(str(tmp_path / "list.csv"), tmp_path / "out", sample_rate=16_000, engine=engine)
    assert str(caught.value) == (
        f"DirectRunner: {corpus / '000.wav'}: the manifest states 16000 Hz, the audio has 44100 Hz"
    )


def test_without_beam_it_is_one_line(monkeypatch):
    from codax.data.shards import apache_beam

    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(CodaxError, match=r"--engine beam needs Apache Beam: pip install .*\[beam\]"):
        apache_beam.engine("DirectRunner")
