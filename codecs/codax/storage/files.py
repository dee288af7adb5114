"""Where files go: the cache folder, and files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from codax.errors import CodaxError

_unfinished: set[Path] = set()  # temporary files that have not got their name yet


def cache_folder(cache_dir: str = "") -> Path:
    """`cache_dir`, or $CODAX_CACHE, or ~/.cache/codax."""
    return Path(cache_dir or os.environ.get("CODAX_CACHE") or Path.home() / ".cache" / "codax").expanduser()


def write_whole(path: Path, data: str | bytes) -> None:
    """Writes a file so that a reader sees the old one or the new one; a failure leaves the old one and nothing else.

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
    """The temporary file of something that is written piece by piece: `temporary` until `publish` gives it its name.

    `number` is the open file descriptor of the temporary file, for the caller to close.
    """

    def __init__(self, path: Path, error: type[CodaxError]) -> None:
        """Checks the target and makes an empty temporary file beside it.

        Args:
          path: the file to be; a link keeps pointing to the file.
          error: what to raise.
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
        """Gives the finished file its name, in place of an earlier file. Raises OSError."""
        _publish(self.temporary, self._target)

    def discard(self) -> None:
        """Removes the temporary file, if it is still there."""
        _discard(self.temporary)


def discard_unfinished() -> None:
    """Removes all temporary files of this process, for a program that ends at once."""
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
