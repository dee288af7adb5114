"""The cache folder, and files that are written atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from codax.errors import CodaxError

_unfinished: set[Path] = set()  # temporary files that have not been renamed yet


def cache_folder(cache_dir: str = "") -> Path:
    """`cache_dir`, or $CODAX_CACHE, or ~/.cache/codax."""
    return Path(cache_dir or os.environ.get("CODAX_CACHE") or Path.home() / ".cache" / "codax").expanduser()


def claim_output(
    target: str | os.PathLike[str],
    *inputs: str | os.PathLike[str],
    overwrite: bool | None,
    suffixes: Sequence[str] = (),
) -> None:
    """Checks the output of a command before any work: existing files are kept.

    Args:
      target: the file or folder to write. A folder counts as existing if it is not empty; names that begin with a dot
        do not count.
      inputs: of the command; none of them can be the output, even with `overwrite`.
      overwrite: whether existing files may be replaced; None = the command never does.
      suffixes: the possible extensions of a file; empty = any.

    Raises:
      CodaxError: naming the target and the reason.
    """
    path = Path(target)
    for source in inputs:
        if Path(source).exists() and path.exists() and os.path.samefile(source, path):
            raise CodaxError(f"{target}: input and output are the same {'folder' if path.is_dir() else 'file'}")
    if suffixes and path.suffix.lower() not in suffixes:
        raise CodaxError(f"{target}: the name of the output must end in {' or '.join(suffixes)}")
    if overwrite or not path.exists():
        return
    remedy = "use another name" if overwrite is None else "use another name, or --overwrite"
    if path.is_file():
        raise CodaxError(f"{target}: already exists; {remedy}")
    if path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise CodaxError(f"{target}: the folder is not empty; {remedy}")


def write_whole(path: Path, data: str | bytes) -> None:
    """Writes a file atomically: a reader sees the old or the new content, and a failure leaves the old file.

    Raises:
      OSError: the folder does not exist, cannot be written, or is full.
    """
    number, name = _temporary_beside(path)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        _publish(Path(name), path)
    finally:
        _discard(Path(name))


class Part:
    """The temporary file of a file that is written in steps; `publish` renames it to its final name.

    `number` is the open file descriptor of the temporary file; the caller closes it.
    """

    def __init__(self, path: Path, error: type[CodaxError]) -> None:
        """Checks the target and creates an empty temporary file beside it.

        Args:
          path: the final file; if it is a link, the file it points to is replaced.
          error: exception class to raise.
        """
        self._target = Path(os.path.realpath(path))
        if self._target.exists() and not self._target.is_file():
            raise error(f"{path}: exists and is not a regular file")
        if not self._target.parent.is_dir():
            raise error(f"{path}: the folder {self._target.parent} does not exist")
        try:
            self.number, name = _temporary_beside(self._target)
        except OSError as failure:
            raise error(f"{path}: cannot be written ({failure.strerror or failure})") from failure
        self.temporary = Path(name)

    def publish(self) -> None:
        """Renames the finished file to its final name, replacing an earlier file. Raises OSError."""
        _publish(self.temporary, self._target)

    def discard(self) -> None:
        """Removes the temporary file, if it exists."""
        _discard(self.temporary)


def discard_unfinished() -> None:
    """Removes all temporary files of this process, before an immediate exit."""
    for path in list(_unfinished):
        path.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> tuple[int, str]:
    number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    _unfinished.add(Path(name))
    return number, name


def _discard(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    _unfinished.discard(temporary)


def _publish(temporary: Path, target: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)  # mkstemp's files are private
    os.replace(temporary, target)
    _unfinished.discard(temporary)
