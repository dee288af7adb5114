"""Models that are saved by processes that are killed or terminated: the earlier files stay, or all new ones appear."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from codax.codec.folder import read_model, write_model
from codax.config import Config
from codax.storage.files import Part, write_whole
from codax.storage.tensors import write_folder
from codax.training.stopping import StopRequest

# Saves a model as `codax export` does, and reports the call of a function at which it then waits for its end.
EXPORT = """
import os, signal, sys, time
import numpy as np
from codax.cli import main
from codax.codec.folder import write_model
from codax.config import Config
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
function, calls = getattr(os, name), []
def waiting(*arguments):
    calls.append(1)
    if len(calls) == count:
        print("waiting", flush=True)
        time.sleep(1000)
    return function(*arguments)
setattr(os, name, waiting)
signal.signal(signal.SIGTERM, main._terminate)
write_model(folder, Config(name="new"), {"a": np.ones(100_000, np.float32)})
"""
MOMENTS = ["fsync 1", "fsync 2", "replace 1", "replace 2"]  # os.fsync and os.replace of the two files


def save(folder, name, value):
    write_model(folder, Config(name=name), {"a": np.full(1000, value, np.float32)})


def model(folder):
    config, arrays = read_model(folder)
    return config.name, arrays["a"][0]


def end(folder, moment, number):
    """Ends an export at a moment by a signal."""
    process = subprocess.Popen([sys.executable, "-c", EXPORT, str(folder), *moment.split()], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"waiting\n"
    process.send_signal(number)
    process.communicate()
    return process.returncode


@pytest.mark.parametrize("moment", MOMENTS[:3])
def test_a_killed_export_leaves_the_earlier_model_and_the_next_one_its_place(tmp_path, moment):
    save(tmp_path, "old", 0.0)
    assert end(tmp_path, moment, signal.SIGKILL) == -signal.SIGKILL
    assert model(tmp_path) == ("old", 0.0)
    save(tmp_path, "next", 2.0)
    assert model(tmp_path) == ("next", 2.0)
    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_terminated_export_leaves_one_whole_model_and_nothing_else(tmp_path, moment):
    save(tmp_path, "old", 0.0)
    assert end(tmp_path, moment, signal.SIGTERM) == 128 + signal.SIGTERM
    # Once the files are being renamed, all are.
    assert model(tmp_path) == (("old", 0.0) if moment.startswith("fsync") else ("new", 1.0))
    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors"]


def test_the_export_of_a_run_that_is_asked_to_stop_is_finished(tmp_path, monkeypatch):
    fsync = os.fsync

    def signalled(number):
        os.kill(os.getpid(), signal.SIGTERM)
        fsync(number)

    with StopRequest() as stop, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", signalled)
        write_folder(tmp_path, {"a": "x"})
        assert stop.requested(0)
    assert (tmp_path / "a").read_text() == "x" and os.listdir(tmp_path) == ["a"]


def test_files_that_others_are_writing_are_not_taken_for_abandoned(tmp_path):
    target, part = tmp_path / "a", Part(tmp_path / "a")
    os.write(part.number, b"slow")
    write_whole(target, "quick")
    part.publish()
    part.discard()
    assert target.read_text() == "slow" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["folder", "fifo", "link to a device"])
def test_what_is_not_a_file_is_not_replaced(tmp_path, kind):
    target = tmp_path / "a"
    if kind == "folder":
        target.mkdir()
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/null")
    with pytest.raises(OSError, match="not a regular file"):
        write_whole(target, "x")
    assert os.listdir(tmp_path) == ["a"] and not target.is_file()
