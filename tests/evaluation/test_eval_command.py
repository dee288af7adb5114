"""eval.py as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver
from codax.cli import evaluate as program

ROOT = Path(__file__).parents[2]


def run(*arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, str(ROOT / "eval.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_baselines_alone(folder, tmp_path):
    done = run(f"--data={folder}", f"--out={tmp_path / 'out'}", "--metrics=snr,stft", "--baselines=opus:12,mp3:32")
    assert done.returncode == 0, done.stderr
    assert "opus 12 kbps" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics=loudness"], "unknown metric 'loudness'"),
        (["--model=no/such/model"], "no/such/model"),
        (["--baselines=opus"], "expected a rate in kbps"),
        (["--model=x", "--kbps=six"], "'six' is not a number"),
        (["--model=x", "--codebooks=1,two"], "expected whole numbers or 'all', got 1,two"),
    ],
)
def test_bad_input_is_one_line_and_status_1(folder, tmp_path, arguments, message):
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
        program.FLAGS(["eval.py", f"--data={folder}", f"--out={tmp_path / 'out'}", "--metrics=snr", *arguments])
        program.main([])
    text = str(stop.value.code)  # which Python writes to stderr, with status 1
    assert text.startswith("codax: ") and message in text and "\n" not in text
    assert not (tmp_path / "out").exists()


def test_unreadable_audio(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "noise.wav").write_bytes(b"RIFF" + bytes(100))
    done = run(f"--data={data}", f"--out={tmp_path / 'out'}", "--metrics=snr", "--baselines=opus:12")
    assert done.returncode == 1
    assert "noise.wav" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_existing_results_are_kept(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bitrates.csv").write_text("mine")
    for more, reason in (
        (["--baselines=opus:12"], "out: the folder is not empty"),
        (["--report=bitrates"], "bitrates.csv: already exists"),
    ):
        arguments = [f"--data={folder}", f"--out={tmp_path / 'out'}", *more]
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
            program.FLAGS(["eval.py", *arguments])
            program.main([])
        assert reason in str(stop.value.code) and "--overwrite" in str(stop.value.code)
    assert (tmp_path / "out" / "bitrates.csv").read_text() == "mine"
    done = run(f"--data={folder}", f"--out={tmp_path / 'out'}", "--metrics=snr", "--baselines=opus:12", "--overwrite")
    assert done.returncode == 0 and (tmp_path / "out" / "report.html").is_file()
