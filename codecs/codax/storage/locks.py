"""Locks that one process at a time holds, also on file systems that several machines share.

The kernel's lock of a file ends with its process. Some shared file systems have no locks, or locks that other machines
do not see. The lock file therefore also names its holder, and the holder changes the file every few seconds: if no
lock shows whether the holder lives, it is dead when the file no longer changes. No clocks of two machines are compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.storage import strict_json

try:
    import fcntl
except ImportError:  # this system has no such locks
    fcntl = None

HEARTBEAT_SECONDS = 5.0
DEAD_SECONDS = 30.0  # without a heartbeat
_POLL_SECONDS = 0.5
_BYTES = 1024  # of a lock file
_log = logging.getLogger(__name__)


def try_lock(number: int) -> bool | None:
    """Locks an open file until it is closed or its process ends; the file must be open for writing.

    Returns:
      Whether the lock was free; None if the file system has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Holds the lock file `path` during the block, and removes it afterwards.

    The lock of a dead process is taken over: at once if it was a process of this machine, otherwise after
    `DEAD_SECONDS`. A process that was suspended for so long that it has lost its lock is ended with one line.

    Args:
      path: created; its folder must exist.
      refusal: the message if another process holds the lock; the holder is added.

    Raises:
      CodaxError: another process holds the lock.
      OSError: the file is a link, or cannot be written.
    """
    mine = _this_process()
    number = _acquire(path, refusal, mine)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, number, mine, done), daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
        with contextlib.suppress(OSError):
            if _is_at(path, number):
                path.unlink()
        os.close(number)


def _acquire(path: Path, refusal: str, mine: dict[str, Any]) -> int:
    """Returns the descriptor of the lock file, with the lock."""
    before, since = b"", time.monotonic()
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            is_free, record = try_lock(number), os.pread(number, _BYTES, 0)
            holder = _parsed(record)
            alive = False if is_free is not None else _is_alive(holder, mine)
            if is_free and record and holder.get("machine") != mine["machine"]:
                alive = None  # the lock of another machine may be invisible here
            has_changed = bool(before) and record != before
            if is_free is False or alive or (alive is None and has_changed):
                raise CodaxError(f"{refusal} ({_described(holder)})")
            is_dead = not record or alive is False or time.monotonic() - since > DEAD_SECONDS
            if is_dead and _is_at(path, number):
                try:
                    _write(number, mine)
                except OSError:
                    path.unlink(missing_ok=True)  # an empty file, on a full disk
                    raise
                return number
        except BaseException:
            os.close(number)
            raise
        os.close(number)
        if record and not before and not is_dead:
            before, since = record, time.monotonic()
            _log.warning("%s: waiting up to %g s for a sign of life of %s", path, DEAD_SECONDS, _described(holder))
        time.sleep(_POLL_SECONDS)


def _beat(path: Path, number: int, mine: dict[str, Any], done: threading.Event) -> None:
    """Changes the lock file until `done`, and ends the process if another one has taken the lock."""
    while not done.wait(HEARTBEAT_SECONDS):
        with contextlib.suppress(OSError):  # a full disk, or a removed folder, which the process itself will report
            holder = _parsed(path.read_bytes()[:_BYTES])
            if holder.get("token", mine["token"]) != mine["token"]:
                print(f"error: {path}: taken over by {_described(holder)}", file=sys.stderr, flush=True)
                os._exit(1)
            mine["beats"] += 1
            _write(number, mine)


def _write(number: int, holder: dict[str, Any]) -> None:
    os.pwrite(number, json.dumps(holder).encode().ljust(_BYTES), 0)
    os.ftruncate(number, _BYTES)


def _is_at(path: Path, number: int) -> bool:
    """Whether the open file is still the one at `path`, which its last holder may have removed."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(number))
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, Any]:
    """Identifies this process: a number alone is used again, and containers have equal host names and numbers."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "machine": _first_line("/proc/sys/kernel/random/boot_id") or f"{socket.gethostname()} {uuid.getnode()}",
        "processes": _namespace(),
        "birth": _birth(os.getpid()),
        "token": uuid.uuid4().hex,
        "beats": 0,
    }


def _is_alive(holder: dict[str, Any], mine: dict[str, Any]) -> bool | None:
    """Whether a process runs, if it is of this machine and numbered as this process; None = unknown."""
    if not mine["birth"] or any(holder.get(name) != mine[name] for name in ("machine", "processes")):
        return None
    return _birth(holder.get("pid")) == holder.get("birth")


def _birth(pid: Any) -> str:
    """When a process began, in ticks since the start of the machine; "" if there is no such process, or no /proc."""
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _parsed(record: bytes) -> dict[str, Any]:
    try:
        holder = strict_json.parse(record)
    except strict_json.JSONError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _described(holder: dict[str, Any]) -> str:
    text = f"process {holder['pid']} on {holder['host']}, since {holder['since']}" if holder.keys() >= _NAMED else ""
    return "".join(c for c in text if c.isprintable())[:200] or "a process that cannot be identified"


_NAMED = frozenset({"pid", "host", "since"})
