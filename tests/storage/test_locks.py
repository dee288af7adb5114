"""Locks between processes: with the kernel's locks, without them, and with locks that other machines do not see."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from codax.errors import CodaxError
from codax.storage import locks

HOLD = """
import sys, time
from pathlib import Path
from codax.storage import locks
locks.HEARTBEAT_SECONDS = float(sys.argv[2])
if sys.argv[3] == "without":
    locks.try_lock = lambda number: None
with locks.locked(Path(sys.argv[1]), "in use"):
    print("locked", flush=True)
    time.sleep(1000)
"""
KINDS = ["with", "without"]  # locks of the kernel


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(locks, "DEAD_SECONDS", 1000.0)
    return tmp_path / "lock"


def hold(path, kind="with", heartbeat=5.0):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path), str(heartbeat), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    return process


def without_locks(monkeypatch):
    monkeypatch.setattr(locks, "try_lock", lambda number: None)


def write(path, **changes):
    """Writes a lock file, of this process but for the changes."""
    holder = locks._this_process() | changes
    path.write_bytes(json.dumps(holder).encode().ljust(locks._BYTES))


def is_refused(path):
    try:
        with locks.locked(path, "in use"):
            return ""
    except CodaxError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_process_is_refused_by_name_and_a_killed_one_is_replaced_at_once(path, monkeypatch, kind):
    if kind == "without":
        without_locks(monkeypatch)
    process = hold(path, kind)
    try:
        pattern = rf"in use \(process {process.pid} on .+, since 20.+ UTC\)"
        with pytest.raises(CodaxError, match=pattern), locks.locked(path, "in use"):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_refused(path):
        assert time.monotonic() < deadline
    process.communicate()
    assert not path.exists()


def test_the_same_process_is_refused_too_and_the_file_disappears(path):
    with locks.locked(path, "in use"):
        assert f"process {os.getpid()} on" in is_refused(path)
    assert not is_refused(path) and not path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_another_process_has_since_got_is_no_holder(path, monkeypatch, kind):
    if kind == "without":
        without_locks(monkeypatch)
    write(path, birth="1")
    assert not is_refused(path)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("without", {"processes": "another container of equal name"}),
        ("without", {"machine": "another of equal name"}),
        ("with", {"machine": "another, whose locks are not visible here"}),
    ],
)
def test_of_others_the_heartbeat_decides(path, monkeypatch, kind, changes):
    if kind == "without":
        without_locks(monkeypatch)
    write(path, **changes)
    done = threading.Event()

    def beat():
        beats = 0
        while not done.wait(0.1):
            beats += 1
            write(path, beats=beats, **changes)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        assert f"in use (process {os.getpid()} on" in is_refused(path)
    finally:
        done.set()
        heart.join()
    monkeypatch.setattr(locks, "DEAD_SECONDS", 0.2)
    began = time.monotonic()
    assert not is_refused(path)
    assert time.monotonic() - began > 0.2


def test_the_file_changes_while_the_lock_is_held(path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.01)
    with locks.locked(path, "in use"):
        first = path.read_bytes()
        deadline = time.monotonic() + 10
        while path.read_bytes() == first:
            assert time.monotonic() < deadline


def test_a_process_that_has_lost_its_lock_ends(path):
    process = hold(path, "without", heartbeat=0.05)
    write(path, pid=4711)
    _, messages = process.communicate(timeout=20)
    assert process.returncode == 1
    assert messages.startswith(f"error: {path}: taken over by process 4711 on ") and messages.count("\n") == 1
    assert json.loads(path.read_bytes())["pid"] == 4711


STRANGE = [b"\0" * 100, b"[" * 1000, b"{}", b"[1]", b'{"pid": ' + b"9" * 900 + b"}", b"x" * 5000]


@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
def test_files_of_something_else_are_taken_over(path, monkeypatch, content):
    monkeypatch.setattr(locks, "DEAD_SECONDS", 0.05)
    path.write_bytes(content)
    with locks.locked(path, "in use"):
        assert json.loads(path.read_bytes())["pid"] == os.getpid()
        assert path.stat().st_size == locks._BYTES


def test_a_link_is_not_followed(path, tmp_path):
    (tmp_path / "precious").write_text("x")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"), locks.locked(path, "in use"):
        pass
    assert (tmp_path / "precious").read_text() == "x"


def test_a_full_disk_leaves_no_file(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="File too large"), locks.locked(path, "in use"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()


def test_one_at_a_time(path):
    inside, most, entered = [], [], []

    def work():
        for _ in range(200):
            try:
                with locks.locked(path, "in use"):
                    inside.append(1)
                    entered.append(1)
                    most.append(len(inside))
                    inside.pop()
            except CodaxError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) > 0 and max(most) == 1
