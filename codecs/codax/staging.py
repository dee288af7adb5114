"""A folder of results that appears complete or not at all.

Everything is written beside the target first and moved into it at the end, file by file, so that a command that
fails, or is stopped, leaves earlier results as they were.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from codax.errors import CodaxError


@contextlib.contextmanager
def staged(out: str | Path) -> Iterator[Path]:
    """Gives an empty folder to write into; its entries replace those of the same name in `out` when the block ends.

    Args:
      out: the folder that gets the results; made if it does not exist.

    Raises:
      CodaxError: the folder cannot be made or written, or the disk is full; nothing of the block's files is left.
    """
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise CodaxError(f"{target}: is a file, not a folder for results")
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.absolute().parent))
    except OSError as error:
        raise CodaxError(f"{target}: cannot be written ({error.strerror or error})") from error
    try:
        yield stage
        _move(stage, target)
    except OSError as error:
        raise CodaxError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move(stage: Path, target: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    target.mkdir(exist_ok=True, mode=0o777 & ~mask)
    replaced = stage / ".replaced"
    replaced.mkdir()
    for entry in sorted(stage.iterdir()):
        if entry == replaced:
            continue
        if (target / entry.name).is_dir():  # a folder cannot be replaced by a rename: the old one steps aside
            os.replace(target / entry.name, replaced / entry.name)
        os.replace(entry, target / entry.name)
