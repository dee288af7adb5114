"""`python train.py` as several processes: stopped together, killed alone, and resumed by another number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from codax.config import Config
from tiny_run import (
    ROOT,
    WHOLE_STEP,
    end_of,
    environment,
    free_port,
    metric_lines,
    tiny_config,
    train_here,
    write_corpus,
    write_recipe,
)

STEPS = 40


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A recipe whose corpus is written."""
    return tiny_config(
        str(write_corpus(tmp_path_factory.mktemp("processes") / "corpus")),
        **WHOLE_STEP,
        loss__waveform=0.01,
        data__gain_db=(-6.0, 0.0),
        train__steps=STEPS,
        train__checkpoint_every=10,
        train__eval_every=20,
    )


def start(config: Config, workdir: Path, count: int, *flags: str) -> list[subprocess.Popen[str]]:
    """The run as `count` processes, which find each other by flags."""
    recipe = write_recipe(workdir.with_suffix(".py"), config)
    where = f"--coordinator=localhost:{free_port()}"
    common = [
        "train.py",
        f"--config={recipe}",
        f"--workdir={workdir}",
        where,
        f"--num_processes={count}",
        "--heartbeat_seconds=10",
    ]
    return [
        subprocess.Popen(
            [sys.executable, *common, f"--process_index={index}", *flags],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]


def wait_for_checkpoint(workdir: Path, processes: list[subprocess.Popen[str]]) -> None:
    for _ in range(6000):
        if any(path.name.isdecimal() for path in (workdir / "checkpoints").glob("*")):
            return
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


def test_processes_stop_together_and_one_goes_on(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM to one of two stops both after the same step; one process then finishes the run as if it were its own."""
    workdir, alone = tmp_path / "two", tmp_path / "alone"
    processes = start(config, workdir, 2)
    wait_for_checkpoint(workdir, processes)
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "stopped on request at step" in outputs[0][0]
    step = max(int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert f"stopped on request at step {step};" in outputs[0][0]
    assert 10 < step < STEPS
    assert sorted(path.name for path in (workdir / "checkpoints" / str(step) / "data").glob("*.json")) == [
        "process_0-of-2.json",
        "process_1-of-2.json",
    ]

    train_here(config, workdir)
    assert f"resuming from the checkpoint of step {step}" in capsys.readouterr().out
    train_here(config, alone)
    actual, expected = end_of(config, workdir), end_of(config, alone)
    np.testing.assert_array_equal(actual.pop("data"), expected.pop("data"))  # what would come next
    assert actual[".step"] == expected[".step"] == STEPS
    lines = [metric_lines(folder) for folder in (workdir, alone)]
    kinds = [[(line["kind"], line["step"]) for line in some] for some in lines]
    assert kinds[0] == kinds[1]
    # The same examples give the same losses, until rounding has grown over some steps into other codes.
    for ours, theirs in zip(*lines, strict=True):
        for name in ("loss/spectral", "loss/waveform"):
            if name in theirs:
                tolerance = 1e-3 if ours["step"] <= 6 else 0.1
                assert ours[name] == pytest.approx(theirs[name], rel=tolerance), (name, ours["step"])


@pytest.mark.parametrize("resuming", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_one_killed_process_ends_the_others_and_the_run_goes_on(config: Config, tmp_path: Path, resuming: int) -> None:
    workdir = tmp_path / "killed"
    processes = start(config, workdir, 2, "--parallel=pmap")
    wait_for_checkpoint(workdir, processes)
    os.kill(processes[1].pid, signal.SIGKILL)
    began = time.monotonic()
    _, errors = processes[0].communicate(timeout=300)
    assert processes[0].returncode != 0
    assert "Traceback" not in errors  # codax's line, or the abort of JAX's service, whichever notices first
    assert time.monotonic() - began < 200
    outputs = [process.communicate(timeout=300) for process in start(config, workdir, resuming, "--parallel=pmap")]
    assert "resuming from the checkpoint of step" in outputs[0][0], outputs
    assert end_of(config, workdir)[".step"] == STEPS
