"""`codax data build` of tar files, with Beam and its options."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from codax.errors import install


@pytest.fixture
def tars(run_here) -> str:
    for part in range(2):
        with tarfile.open(f"part-{part}.tar", "w") as archive:
            for i in range(3):
                file = io.BytesIO()
                soundfile.write(file, np.random.default_rng(i).uniform(-0.3, 0.3, 8000), 8000, format="FLAC")
                for name, content in ((f"{i}.flac", file.getvalue()), (f"{i}.txt", b"hello")):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return "part-*.tar"


def test_tar_files(run_here, tars) -> None:
    status, out, err = run_here("data", "build", tars, "--out", "out", "--sample-rate", "16000")
    assert (status, out.strip()) == (0, "out/manifest.jsonl"), err
    status, out, _ = run_here("data", "inspect", "out")
    assert status == 0 and "examples     6, 0.00 h" in out and "with text    6" in out
    status, _, err = run_here("data", "inspect", "part-0.tar")
    assert status == 1 and "part-0.tar: allows sequential reading only" in err


def test_beam_and_features(run_here, tars) -> None:
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    pytest.importorskip("onnxruntime")
    build = ("data", "build", tars, "--sample-rate", "16000", "--teacher", "wakehubert")
    assert run_here(*build, "--out", "here")[0] == 0
    status, out, err = run_here(*build, "--out", "there", "--engine", "beam", "--", "--direct_num_workers=1")
    assert (status, out.strip()) == (0, "there/features.json"), err
    here, there = ({path.name: path.read_bytes() for path in Path(name).iterdir()} for name in ("here", "there"))
    assert here == there and sum(name.endswith(".features") for name in here) >= 2
    facts = json.loads(here["statistics.json"])
    assert facts["records"] == 6 and not facts["skipped"]


def test_features_for_existing_shards(run_here, tars) -> None:
    """Features are added to the shards of the same command, or of one that does not state how they were made."""
    pytest.importorskip("onnxruntime")
    shards = ("--out", "out", "--sample-rate", "16000")
    assert run_here("data", "build", tars, *shards)[0] == 0
    for arguments, reason in (
        (("other", *shards), f"out: holds shards made with SOURCE {tars}, not other"),
        ((*shards[:2], "--sample-rate", "24000"), "out: holds shards made with --sample-rate 16000, not 24000"),
        ((*shards, "--max-seconds", "10"), "out: holds shards made with --max-seconds 30.0, not 10.0"),
    ):
        status, _, err = run_here("data", "build", *arguments, "--teacher", "wakehubert")
        assert (status, err) == (1, f"codax: {reason}\n")
    assert run_here("data", "build", tars, *shards, "--teacher", "wakehubert")[:2] == (0, "out/features.json\n")
    assert run_here("data", "build", "--out", "out", "--teacher", "wakehubert")[:2] == (0, "out/features.json\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--", "--direct_num_workers=2"), "options after -- are Beam's"),
        (("--runner", "FlinkRunner"), "--runner has no effect without --engine beam"),
        (("--pool", "2"), "--pool has no effect without --teacher"),
        (("--part", "1/2"), "--part has no effect without --teacher"),
        (("--teacher", "wakehubert", "--pool", "3"), "teacher.pool = 3: must be 1 or even"),
        (("--teacher", "wakehubert", "--delay-seconds", "0.1"), "teacher.delay_seconds = 0.1 does nothing without"),
        (("--engine", "beam", "--", "--no_such_option=2"), "no such option: --no_such_option"),
        (("--engine", "beam", "--runner", "Fast"), "Fast: Unexpected pipeline runner"),
    ],
)
def test_what_is_wrong_is_one_line(run_here, tars, arguments, reason) -> None:
    if "beam" in arguments:
        pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    status, _, err = run_here("data", "build", tars, "--out", "out", *arguments)
    assert status == 1 and reason in err and len(err.strip().splitlines()) == 1


def test_without_beam(run_here, tars, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    status, _, err = run_here("data", "build", tars, "--out", "out", "--engine", "beam")
    assert status == 1 and err.strip() == f"codax: --engine beam needs Apache Beam: {install('beam')}"
