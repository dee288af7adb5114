"""`-` as a file name: stdin and stdout as whole files.

Coding reads a file more than once and containers end with a table, so both are kept in a temporary folder.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from codax.errors import CodaxError
from codax.storage.files import unfinished

PIPE = "-"


@contextlib.contextmanager
def whole_files(source: str, target: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Yields the names of files that stand for `source` and `target`, which may be "-"; writes to stdout at the end.

    Args:
      source: file to read.
      target: file to write.
      suffix: of the format that is written to stdout.

    Raises:
      CodaxError: as the block, with "stdin" and "stdout" as names; a pipe is a terminal; the disk is full.
    """
    if PIPE not in (source, target):
        yield source, target
        return
    source_pipe = stdin("a file") if source == PIPE else None
    target_pipe = stdout("output") if target == PIPE else None
    with tempfile.TemporaryDirectory(prefix="codax-") as name, unfinished(Path(name)):
        folder = Path(name)
        read, written = folder / "stdin", folder / f"stdout{suffix}"
        try:
            if source_pipe is not None:
                read = _stored(source_pipe, folder)
            yield str(read) if source_pipe is not None else source, str(written) if target_pipe is not None else target
        except CodaxError as error:
            message = str(error).replace(str(read), "stdin").replace(str(written), "stdout")
            raise CodaxError(message) from error
        if target_pipe is not None:
            with written.open("rb") as file:
                shutil.copyfileobj(file, target_pipe)
            target_pipe.flush()


def stdin(takes: str) -> BinaryIO:
    """Returns stdin as a binary file. Raises CodaxError, which says what the command takes, if it is a terminal."""
    if sys.stdin.isatty():
        raise CodaxError(f"stdin is a terminal: pipe {takes} into this command")
    return sys.stdin.buffer


def stdout(gives: str) -> BinaryIO:
    """Returns stdout as a binary file. Raises CodaxError, which says what the command gives, if it is a terminal."""
    if sys.stdout.isatty():
        raise CodaxError(f"stdout is a terminal: pipe the {gives} into a file or a command")
    return sys.stdout.buffer


def _stored(pipe: BinaryIO, folder: Path) -> Path:
    """Stores a pipe in a file, whose suffix tells EnCodec's containers from others. Raises CodaxError."""
    from codax.containers import ecdc

    start = pipe.read(len(ecdc.MAGIC))
    path = folder / ("stdin" + (ecdc.SUFFIX if start == ecdc.MAGIC else ""))
    try:
        with path.open("wb") as file:
            file.write(start)
            shutil.copyfileobj(pipe, file)
    except OSError as error:
        raise CodaxError(f"stdin: cannot be stored in {folder.parent} ({error.strerror or error})") from error
    return path
