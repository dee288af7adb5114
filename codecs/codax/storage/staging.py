"""A folder of results that is published as a whole.

Results are first written to a folder beside the target and moved into it, file by file, at the end, so that a command
that fails or is interrupted leaves earlier results unchanged. A resumable command keeps its staging folder for the next
run with the same fingerprint.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from codax.errors import CodaxError

_FINGERPRINT, _LOCK = ".fingerprint", ".lock"


@contextlib.contextmanager
def staged(out: str | Path, fingerprint: str | None = None) -> Iterator[Path]:
    """Yields a staging folder; its entries replace those of the same name in `out` when the block ends.

    Entries whose name begins with a dot are not published. With a `fingerprint` of the results the staging folder is
    kept if the block is interrupted: the next block with the same fingerprint continues with its contents, any other
    starts with an empty folder.

    Args:
      out: the folder of the results; created if it does not exist.
      fingerprint: see above; None = nothing is kept.

    Raises:
      CodaxError: the folder cannot be created or written, the disk is full, or another process is writing to it. The
        staging folder is then removed, also if the block itself raises a CodaxError.
    """
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise CodaxError(f"{target}: is a file, not a folder for results")
    stage = target.absolute().parent / f".{target.name}.part"
    lock = None
    try:
        stage.mkdir(parents=True, exist_ok=True)
        lock = (stage / _LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty_unless(stage, fingerprint)
    except BlockingIOError as error:
        raise CodaxError(f"{target}: another command is writing its results there") from error
    except OSError as error:
        raise CodaxError(f"{target}: cannot be written ({error.strerror or error})") from error
    try:
        yield stage
        _move(stage, target)
    except BaseException as error:
        if fingerprint is None or isinstance(error, CodaxError | OSError):
            shutil.rmtree(stage, ignore_errors=True)
        if isinstance(error, OSError):
            raise CodaxError(f"{target}: cannot be written ({error.strerror or error})") from error
        raise
    else:
        shutil.rmtree(stage, ignore_errors=True)
    finally:
        lock.close()


def _empty_unless(stage: Path, fingerprint: str | None) -> None:
    note = stage / _FINGERPRINT
    if fingerprint and note.exists() and note.read_text(encoding="utf-8") == fingerprint:
        return
    for entry in stage.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()
    if fingerprint:
        note.write_text(fingerprint, encoding="utf-8")


def _move(stage: Path, target: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    target.mkdir(exist_ok=True, mode=0o777 & ~mask)
    replaced = stage / ".replaced"
    replaced.mkdir(exist_ok=True)
    for entry in sorted(stage.iterdir()):
        if entry.name.startswith("."):
            continue
        if (target / entry.name).is_dir():  # a rename cannot replace a folder, so the old one is moved away first
            os.replace(target / entry.name, replaced / entry.name)
        os.replace(entry, target / entry.name)
