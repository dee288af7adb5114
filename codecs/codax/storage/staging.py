"""A folder of results that is published as a whole.

Results are first written to a folder beside the target and moved into it, file by file, at the end, so that a command
that fails or is interrupted leaves earlier results unchanged. A resumable command keeps its staging folder for the next
run with the same fingerprint.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from codax.errors import CodaxError
from codax.storage.files import file_mask, unfinished, write_whole
from codax.storage.locks import locked

_FINGERPRINT, _REPLACED = ".fingerprint", ".replaced"


@contextlib.contextmanager
def only_writer(out: str | Path) -> Iterator[Path]:
    """Holds the lock of a folder of results, which may not exist yet; yields its path without links.

    Raises:
      CodaxError: another process holds the lock, `out` is a file, or the folder around it cannot be written.
    """
    target = Path(os.path.realpath(out))
    if target.exists() and not target.is_dir():
        raise CodaxError(f"{out}: is a file, not a folder for results")
    lock = target.parent / f".{target.name}.lock"
    with contextlib.ExitStack() as stack:
        for folder in (*reversed(target.parent.parents), target.parent):
            if not folder.exists():
                stack.callback(_remove_if_empty, folder)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock, f"{out}: another command is writing its results there"))
            stack.enter_context(unfinished(lock))
        except OSError as error:
            raise CodaxError(f"{out}: cannot be written ({error.strerror or error})") from error
        yield target


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def staged(out: str | Path, fingerprint: str | None = None) -> Iterator[Path]:
    """Yields a staging folder; its entries replace those of the same name in `out` when the block ends.

    Entries whose name begins with a dot are not published. With a `fingerprint` of the results the staging folder is
    kept if the block is interrupted: the next block with the same fingerprint continues with its contents, any other
    starts with an empty folder.

    Args:
      out: the folder of the results, or a link to it; created if it does not exist.
      fingerprint: see above; None = nothing is kept.

    Raises:
      CodaxError: the folder cannot be created or written, the disk is full, another process is writing to it, or the
        place of the staging folder is occupied. The staging folder is removed, also if the block itself raises a
        CodaxError.
    """
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(only_writer(out))
        stage = target.parent / f".{target.name}.part"
        try:
            _prepare(stage, target, fingerprint)
        except OSError as error:
            raise CodaxError(f"{out}: cannot be written ({error.strerror or error})") from error
        try:
            with contextlib.nullcontext() if fingerprint else unfinished(stage):
                yield stage
            _move(stage, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                _restore(stage, target)
            if fingerprint is None or isinstance(error, CodaxError | OSError):
                shutil.rmtree(stage, ignore_errors=True)
            if isinstance(error, OSError):
                raise CodaxError(f"{out}: cannot be written ({error.strerror or error})") from error
            raise
        shutil.rmtree(stage, ignore_errors=True)


def _prepare(stage: Path, target: Path, fingerprint: str | None) -> None:
    """Creates the staging folder, or empties one that an earlier block left, unless it has the same fingerprint."""
    note = stage / _FINGERPRINT
    if stage.is_symlink() or (stage.exists() and not stage.is_dir()):
        raise CodaxError(f"{stage}: must be removed: unfinished results need this name, and it is not a folder")
    stage.mkdir(exist_ok=True)
    if not note.is_file() and any(stage.iterdir()):
        raise CodaxError(f"{stage}: must be moved: unfinished results need this name, and it holds other files")
    note.touch()
    _restore(stage, target)
    if fingerprint and note.is_file() and note.read_text(encoding="utf-8") == fingerprint:
        return
    for entry in stage.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != note:
            entry.unlink()
    write_whole(note, fingerprint or "")


def _restore(stage: Path, target: Path) -> None:
    """Moves folders back that a process moved away without moving their successors into place."""
    replaced = stage / _REPLACED
    for entry in replaced.iterdir() if replaced.is_dir() else ():
        if not (target / entry.name).exists():
            os.replace(entry, target / entry.name)


def _move(stage: Path, target: Path) -> None:
    mask = file_mask()
    target.mkdir(exist_ok=True, mode=0o777 & ~mask)
    replaced = stage / _REPLACED
    replaced.mkdir(exist_ok=True)
    for entry in sorted(stage.iterdir()):
        if entry.name.startswith("."):
            continue
        if (target / entry.name).is_dir():  # a rename cannot replace a folder, so the old one is moved away first
            os.replace(target / entry.name, replaced / entry.name)
        os.replace(entry, target / entry.name)
