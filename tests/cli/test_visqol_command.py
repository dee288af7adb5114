"""`codax visqol` as a user runs it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from codax.cli.visqol import visqol_command
from codax.errors import CodaxError
from signals import syllables
from typer.testing import CliRunner

APP = typer.Typer()
APP.command()(visqol_command)


def write(path: Path, seconds: float = 2.0, rate: int = 16000, noise: float = 0.0, gain: float = 0.1) -> Path:
    """A WAV file of noise in syllables, the same for every call but for the added noise."""
    signal = syllables(seconds, rate, gain=gain)
    soundfile.write(path, signal + noise * np.random.default_rng(1).standard_normal(len(signal)), rate)
    return path


def run(*arguments: object):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_json_is_one_object_on_stdout(tmp_path):
    result = run(
        write(tmp_path / "ref.wav"), write(tmp_path / "deg.wav", noise=0.01), "--mapping", "exponential", "--json"
    )
    assert result.exit_code == 0, result.output
    actual = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert 1 < actual["moslqo"] < 5
    assert 0 < actual["vnsim"] < 1
    assert (actual["mode"], actual["mapping"]) == ("speech", "exponential")
    assert len(actual["fvnsim"]) == len(actual["centre_frequencies"]) == 21
    assert result.stderr == ""


def test_text(tmp_path):
    path = write(tmp_path / "ref.wav")
    result = run(path, path, "--mapping", "exponential")
    assert result.stdout == "MOS-LQO 5.0000  vnsim 1.0000  (speech mode, exponential mapping)\n"


@pytest.mark.parametrize(
    ("rate", "options", "mode", "resampled"),
    [
        (24000, (), "speech", "from 24000 to 16000"),
        (32000, (), "audio", "from 32000 to 48000"),
        (48000, (), "audio", None),
        (48000, ("--mapping", "exponential"), "speech", "from 48000 to 16000"),
        (16000, ("--mode", "audio"), "audio", "from 16000 to 48000"),
    ],
)
def test_modes_and_rates(tmp_path, rate, options, mode, resampled):
    """Which mode is the default, and that resampling is said; the models need not be there."""
    models = tmp_path / "libsvm_nu_svr_model.txt"
    models.write_text("svm_type nu_svr\nkernel_type rbf\ngamma 1\ntotal_sv 1\nrho -2\nSV\n1 1:1\n")
    if mode == "speech" and not options:
        options = ("--mode", "speech", "--mapping", "exponential") if rate == 16000 else ("--mapping", "exponential")
    path = write(tmp_path / "ref.wav", rate=rate)
    result = run(path, path, *options, "--models", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["mode"] == mode
    assert (resampled or "") in result.stderr
    assert bool(result.stderr) == bool(resampled)


def test_files_of_different_rates(tmp_path):
    ref, deg = write(tmp_path / "ref.wav", rate=16000), write(tmp_path / "deg.wav", rate=24000)
    result = run(ref, deg, "--mapping", "exponential", "--json")
    assert result.exit_code == 0
    assert result.stderr.count("resampled") == 1
    assert str(deg) in result.stderr


def test_a_length_that_differs_much_is_said(tmp_path):
    result = run(write(tmp_path / "ref.wav"), write(tmp_path / "deg.wav", 3.5), "--mapping", "exponential")
    assert result.exit_code == 0
    assert "length differs" in result.stderr


@pytest.mark.parametrize(
    ("deg", "options", "message"),
    [
        ("missing.wav", (), "missing.wav"),
        ("text.wav", (), "text.wav"),
        ("silent.wav", (), "silent.wav: the signal is silent"),
        ("short.wav", (), "short.wav: too short"),
        ("ref.wav", ("--mode", "music"), "unknown mode 'music'"),
        ("ref.wav", ("--mode", "speech", "--mapping", "svr"), "svr"),
        ("ref.wav", ("--mapping", "lattice", "--models", "nowhere"), "nowhere: no such model file"),
        ("ref.wav", ("--mapping", "lattice", "--models", "text.wav"), "text.wav: not a ViSQOL lattice model"),
    ],
)
def test_bad_input_is_one_error(tmp_path, monkeypatch, deg, options, message):
    monkeypatch.chdir(tmp_path)
    write(Path("ref.wav"))
    write(Path("silent.wav"), gain=0.0)
    write(Path("short.wav"), seconds=0.05)
    Path("text.wav").write_text("no audio")
    result = run("ref.wav", deg, *(options or ("--mapping", "exponential")), "--json")
    assert isinstance(result.exception, CodaxError)  # which the command line's main turns into one line and status 1
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_folders(tmp_path):
    """A line for every file in order, then those that have no score, which end nothing."""
    for folder in ("ref/sub", "deg/sub"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("b", "a", "sub/c", "only", "bad", "silent"):
        write(tmp_path / f"ref/{name}.wav", rate=24000, gain=0.0 if name == "silent" else 0.1)
    for name, noise in (("b", 0.01), ("a", 0.0), ("sub/c", 0.003)):
        write(tmp_path / f"deg/{name}.flac", noise=noise)
    write(tmp_path / "deg/silent.wav")
    (tmp_path / "deg/bad.wav").write_text("no audio")
    for options in ((), ("--float32",)):
        result = run(tmp_path / "ref", tmp_path / "deg", "--mapping", "exponential", *options)
        assert isinstance(result.exception, CodaxError)
        assert "(and 2 more)" in str(result.exception)
        rows = list(csv.DictReader(result.stdout.splitlines()))
        assert [row["file"] for row in rows] == ["a.wav", "b.wav", "silent.wav", "sub/c.wav", "bad.wav", "only.wav"]
        assert result.stderr.startswith("codax: 3 of 6 files, mean MOS-LQO ")
        for row in rows:
            if row["file"] in ("bad.wav", "only.wav", "silent.wav"):
                assert row["error"]
                assert not row["moslqo"]
                continue
            single = run(
                tmp_path / "ref" / row["file"], tmp_path / "deg" / row["file"].replace("wav", "flac"), "--json",
                "--mapping", "exponential",
            )  # fmt: skip
            assert float(row["moslqo"]) == pytest.approx(
                json.loads(single.stdout)["moslqo"], abs=2e-5 if options else 1e-8
            )
    assert "silent.wav: the signal is silent" in rows[2]["error"]
    result = run(tmp_path / "ref", tmp_path / "deg")  # the mode is that of the first file's rate
    assert {row["mode"] for row in csv.DictReader(result.stdout.splitlines()) if row["moslqo"]} == {"speech"}
    (tmp_path / "ref" / "only.wav").unlink()
    lines = run(tmp_path / "ref", tmp_path / "deg", "--mapping", "exponential", "--json").stdout.splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["a.wav", "b.wav", "silent.wav", "sub/c.wav", "bad.wav"]


def test_folders_without_audio_and_options_that_do_not_fit(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "ref").mkdir()
    path = write(tmp_path / "ref" / "a.wav")
    (tmp_path / "twice").mkdir()
    write(tmp_path / "twice" / "a.wav")
    write(tmp_path / "twice" / "a.flac")
    for arguments, message in (
        ((tmp_path / "empty", tmp_path / "ref"), "empty: holds no audio files"),
        ((tmp_path / "ref", tmp_path / "empty", "--mapping", "exponential"), "empty: holds no audio files"),
        ((tmp_path / "ref", tmp_path / "ref", "--mode", "music"), "unknown mode"),
        ((path, path, "--float32"), "for folders"),
        ((tmp_path / "ref", tmp_path / "twice", "--mapping", "exponential"), "two audio files with the name a"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, CodaxError)
        assert message in str(result.exception)
        assert result.stdout == ""


def test_whole_program(tmp_path):
    """One line on stderr, status 1, nothing on stdout."""
    ref = write(tmp_path / "ref.wav")
    command = [sys.executable, "-m", "codax.cli.main", "visqol", str(ref)]
    failed = subprocess.run([*command, str(tmp_path / "no.wav")], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1
    assert "no.wav" in failed.stderr
    scored = subprocess.run(
        [*command, str(ref), "--mapping", "exponential", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(scored.stdout)["vnsim"] == pytest.approx(1)
    assert scored.stderr == ""
