"""eval.py as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    done = run(f"--data={folder}", f"--out={tmp_path / 'out'}", "--metrics=snr", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""
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
