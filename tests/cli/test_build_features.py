"""`codax data build --teacher`: shards and features, again where something is missing, and in parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax import audio
from codax.data import features, records
from codax.data.sources.spec import open_source

pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(run_here) -> str:
    Path("in").mkdir()
    for i in range(4):
        audio.write(f"in/{i}.wav", np.random.default_rng(i).uniform(-0.3, 0.3, (12_000 + 4000 * i, 1)), 8000)
    return "in"


def test_features_of_the_packaged_teacher(run_here, folder) -> None:
    build = ("data", "build", folder, "--out", "out", "--sample-rate", "16000", "--teacher", "wakehubert")
    status, out, err = run_here(*build)
    assert status == 0, err
    assert out.strip() == "out/features.json"
    with open("out/features.json", encoding="utf-8") as file:
        about = json.load(file)
    assert (about["teacher"], about["dimension"], about["frame_rate"]) == ("wakehubert", 128, 50.0)
    assert about["delay_seconds"] == 0.1
    # Frames of 20 ms of the whole recording, shifted to their times: silence that follows changes nothing before it.
    source = open_source("out", sample_rate=16_000)
    reader = features.Features(source, "out")
    entry = max(source, key=lambda e: e.frames)
    assert records.open_shard(str(features.beside(entry.file))).parse(entry.record, features.decode).shape == (
        entry.frames // 320,
        128,
    )
    assert np.isfinite(reader.read(entry, 0, 10)).all()
    # Again: what is there stays, what is missing comes back.
    path = features.beside(entry.file)
    before = path.read_bytes()
    path.unlink()
    assert run_here(*build, "--part", "1/1")[0] == 0
    assert path.read_bytes() == before


def test_pooled_features(run_here, folder) -> None:
    build = (
        "data",
        "build",
        folder,
        "--out",
        "out",
        "--sample-rate",
        "16000",
        "--teacher",
        "wakehubert",
        "--pool",
        "4",
    )
    assert run_here(*build)[0] == 0
    with open("out/features.json", encoding="utf-8") as file:
        assert json.load(file)["frame_rate"] == 12.5
    entry = max(open_source("out", sample_rate=16_000), key=lambda e: e.frames)
    record = records.Shard(features.beside(entry.file)).parse(entry.record, features.decode)
    assert record.shape == (-(-entry.frames // 320 // 4), 128)
    # The same teacher with others is another.
    status, _, err = run_here(*build[:-1], "2")
    assert status == 1 and "holds other features" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--teacher", "absent"), "teacher 'absent': must be wakehubert"),
        (("--teacher", "wakehubert", "--part", "2"), "--part: expected a number and a count"),
        (("--part", "1/2"), "--part has no effect without --teacher"),
        (("--teacher", "wakehubert", "--delay-seconds", "-1"), "delay"),
    ],
)
def test_what_is_wrong_is_one_line(run_here, folder, arguments, reason) -> None:
    assert run_here("data", "build", folder, "--out", "out", "--sample-rate", "16000")[0] == 0
    status, _, err = run_here("data", "build", folder, "--out", "out", *arguments)
    assert status in (1, 2) and reason in err
    assert status == 2 or len(err.strip().splitlines()) == 1


def test_parts_need_shards(run_here, folder) -> None:
    status, _, err = run_here("data", "build", folder, "--out", "new", "--teacher", "wakehubert", "--part", "1/2")
    assert status == 1 and "new: holds no shards yet" in err
    status, _, err = run_here("data", "build", "starter", "--teacher", "wakehubert")
    assert status == 1 and "give a folder for the shards with --out" in err
