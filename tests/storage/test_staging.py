"""Staging folders: of one command at a time, without links, and with the earlier results until the end."""

import signal
import subprocess
import sys

import pytest
from codax.errors import CodaxError
from codax.storage.staging import staged


@pytest.fixture
def precious(tmp_path):
    """A folder of somebody else."""
    folder = tmp_path / "precious"
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "a.wav").write_text("x")
    yield folder
    assert (folder / "audio" / "a.wav").read_text() == "x"


def write(out, fingerprint=None, **files):
    with staged(out, fingerprint) as stage:
        for name, text in files.items():
            (stage / name).write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", [".out.part", ".out.lock"])
@pytest.mark.parametrize("kind", ["link", "folder", "file"])
def test_names_that_are_occupied(tmp_path, precious, name, kind):
    place = tmp_path / name
    if kind == "link":
        place.symlink_to(precious)
    elif kind == "folder":
        place.mkdir()
        (place / "audio").symlink_to(precious)
    else:
        place.write_text("x")
    if (name, kind) == (".out.lock", "file"):
        return  # the lock of a dead process
    with pytest.raises(CodaxError) as raised:
        write(tmp_path / "out", a="new")
    assert "out" in str(raised.value) and "\n" not in str(raised.value)
    assert names(tmp_path) == [name, "precious"]


def test_links_in_a_staging_folder_are_removed_and_not_followed(tmp_path, precious):
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "out", "a") as stage:
        (stage / "audio").symlink_to(precious)
        (stage / "b").symlink_to(precious / "audio" / "a.wav")
        raise KeyboardInterrupt
    write(tmp_path / "out", "b", c="new")
    assert names(tmp_path / "out") == ["c"] and names(tmp_path) == ["out", "precious"]


def test_the_results_may_be_a_link(tmp_path, precious):
    (tmp_path / "out").symlink_to(precious)
    write(tmp_path / "out", b="new")
    assert names(precious) == ["audio", "b"] and (tmp_path / "out").is_symlink()
    assert names(tmp_path) == ["out", "precious"]


@pytest.mark.parametrize("end", ["os._exit(9)", "raise OSError(5, 'Input/output error')"])
def test_a_folder_that_was_moved_away_comes_back(tmp_path, precious, end):
    """The process fails, or is killed, between the two renames that replace a folder."""
    program = f"""
import os
from pathlib import Path
from codax.storage.staging import staged
replace, out = os.replace, Path({str(precious)!r})
def failing(source, target):
    if Path(source).parent.name == ".precious.part" and Path(target) == out / "audio":
        {end}
    replace(source, target)
os.replace = failing
with staged(out) as stage:
    (stage / "audio").mkdir()
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == (9 if "exit" in end else 1), done.stderr
    write(precious, b="new")
    assert names(precious) == ["audio", "b"] and names(tmp_path) == ["precious"]


def test_a_terminated_command_leaves_no_staging_folder(tmp_path):
    program = f"""
import os, signal
from codax.cli import main
from codax.storage.staging import staged
signal.signal(signal.SIGTERM, main._terminate)
with staged({str(tmp_path / "out")!r}) as stage:
    (stage / "a").write_text("x")
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert names(tmp_path) == []
