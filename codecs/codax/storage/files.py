"""The cache folder, and files that are written atomically."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from codax.errors import CodaxError

_POINTER = b"version https://git-lfs.github.com/spec/"
_unfinished: set[Path] = set()  # temporary files that have not been renamed yet


def cache_folder(cache_dir: str = "") -> Path:
    """`cache_dir`, or $CODAX_CACHE, or ~/.cache/codax."""
    return Path(cache_dir or os.environ.get("CODAX_CACHE") or Path.home() / ".cache" / "codax").expanduser()


def require_file(path: str | os.PathLike[str], error: type[CodaxError] = CodaxError) -> None:
    """Checks that a path is a regular file, or a link to one, before it is opened: opening a FIFO would wait for ever.

    Raises:
      CodaxError: as `error`: there is no such file, or it is a folder, a FIFO, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as failure:
        raise error(f"{path}: no such file") from failure
    except (OSError, ValueError) as failure:
        raise error(f"{path}: cannot be read ({getattr(failure, 'strerror', None) or failure})") from failure
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
        kind = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
        raise error(f"{path}: is {kind}, not a file")


def each_once(paths: Iterable[str]) -> list[str]:
    """The paths in order, without those that lead to the same file as an earlier one through symbolic links."""
    first: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[folder], name)
        first.setdefault(real, path)
    return list(first.values())


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


def refuse_pointer(path: Path, error: type[CodaxError]) -> None:
    """Raises `error` if the file is a Git-LFS pointer, which a clone without Git LFS has instead of a large file.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise error(f"{path}: a Git-LFS pointer instead of the file itself; `git lfs pull` fetches it")


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
