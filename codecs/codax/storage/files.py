"""The cache folder, and files that are written atomically.

Every file of the package is written to a temporary file beside it, flushed to the disk, and renamed, so that a reader
sees the old or the new content, and a full disk or a killed process leaves the old file.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from codax.errors import CodaxError
from codax.storage.locks import try_lock

_POINTER = b"version https://git-lfs.github.com/spec/"
_unfinished: set[Path] = set()  # temporary files and folders that are discarded if the process ends now
_masks = threading.Lock()
_publishing: dict[Path, Path] = {}  # complete temporary files that are being renamed together -> their targets


def cache_folder(cache_dir: str = "") -> Path:
    """`cache_dir`, or $CODAX_CACHE, or ~/.cache/codax. Raises CodaxError if "~" has no meaning."""
    folder = Path(cache_dir or os.environ.get("CODAX_CACHE") or "~/.cache/codax")
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise CodaxError(f"{folder}: there is no such home directory (set CODAX_CACHE to a folder)") from error


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


def matches(pattern: str) -> list[str]:
    """The paths that a glob pattern names, sorted, each once; a path that exists is no pattern, whatever it holds."""
    path = os.path.expanduser(pattern)
    return each_once([path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True)))


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


def files_below(folder: str | os.PathLike[str], suffixes: Container[str]) -> Iterator[str]:
    """Yields the files below a folder by their suffixes, those of each folder in order before those of its folders.

    Names that begin with a dot are passed over. Links are followed, those to missing files too, for an error that names
    them; each folder is entered once, although links may form loops.
    """
    entered = {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True):
        for name in sorted(files):
            path = os.path.join(parent, name)
            is_named = not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
            if is_named and (os.path.isfile(path) or not os.path.exists(path)):
                yield path
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and real not in entered:
                kept.append(name)
                entered.add(real)
        folders[:] = kept


def without_suffix(path: str) -> str:
    """A path without the extension of its name, with slashes on every system."""
    return Path(path).with_suffix("").as_posix()


def files_by_name(
    folder: str | os.PathLike[str],
    suffixes: Container[str],
    kind: str = "audio",
    name: Callable[[str], str] = without_suffix,
) -> dict[str, Path]:
    """The files below a folder by their suffixes, sorted by path, each under a name.

    Args:
      folder: searched as by `files_below`.
      suffixes: in lower case.
      kind: of the files, for messages.
      name: what it gives for the path of a file, relative to the folder, is the name of the file.

    Raises:
      CodaxError: there is no such folder, no such file below it, or two files have the same name.
    """
    if not os.path.isdir(folder):
        raise CodaxError(f"{folder}: is not a folder")
    named: dict[str, Path] = {}
    for path in sorted(map(Path, files_below(folder, suffixes))):
        key = name(os.path.relpath(path, folder))
        other = named.setdefault(key, path)
        if other != path:
            raise CodaxError(f"{other} and {path}: two {kind} files with the name {key}")
    if not named:
        raise CodaxError(f"{folder}: holds no {kind} files")
    return named


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
    if overwrite or not os.path.lexists(path):
        return
    remedy = "use another name" if overwrite is None else "use another name, or --overwrite"
    if path.is_file():
        raise CodaxError(f"{target}: already exists; {remedy}")
    if path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise CodaxError(f"{target}: the folder is not empty; {remedy}")


def file_mask() -> int:
    """Returns the mask of the permissions of new files."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as status:  # of Linux
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    with _masks:  # elsewhere it can be read only by changing it, for all threads
        mask = os.umask(0)
        os.umask(mask)
    return mask


def write_whole(path: Path, data: str | bytes) -> None:
    """Writes a file atomically: a reader sees the old or the new content, and a failure leaves the old file.

    If the path is a link, the file it points to is replaced.

    Raises:
      OSError: the target is not a regular file, or its folder does not exist, cannot be written, or is full.
    """
    path = Path(os.path.realpath(path))
    write_together(path.parent, {path.name: data})


def write_together(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Writes files of a folder; none replaces an earlier file before all are complete.

    Raises:
      OSError: as `write_whole`; all earlier files are then unchanged.
    """
    complete = {}
    with contextlib.ExitStack() as stack:
        for name, data in files.items():
            part = Part(folder / name)
            stack.callback(part.discard)
            with os.fdopen(part.number, "wb", closefd=False) as file:
                file.write(data.encode() if isinstance(data, str) else data)
            part.flush()
            complete[part.temporary] = folder / name
        _publish(complete)


def refuse_pointer(path: Path, error: type[CodaxError]) -> None:
    """Raises `error` if the file is a Git-LFS pointer, which a clone without Git LFS has instead of a large file.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise error(f"{path}: a Git-LFS pointer instead of the file itself; `git lfs pull` fetches it")


class Part:
    """The temporary file of a file that is written in steps, to the path `temporary` or the descriptor `number`.

    `publish` renames the file to its final name; `discard`, afterwards or instead of it, closes the descriptor. The
    descriptor has a lock: the next part of the same target removes temporary files without one, which killed processes
    have left.
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        """Checks the target and creates an empty temporary file.

        Args:
          target: the final file.
          folder: of the temporary file, on the same disk; None = that of the final file.

        Raises:
          OSError: as `write_whole`.
        """
        if target.exists() and not target.is_file():
            raise FileExistsError(errno.EEXIST, "exists and is not a regular file", str(target))
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"the folder {target.parent} does not exist", str(target))
        self._target, folder = target, folder or target.parent
        prefix, suffix = f".{target.name[:100]}.", ".part"
        for path in folder.glob(f"{glob.escape(prefix)}*{suffix}"):
            _discard_if_abandoned(path)
        while True:
            self.number, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=folder)
            self.temporary = Path(name)
            if try_lock(self.number) is not False and self.temporary.exists():
                break
            os.close(self.number)  # another process took the file for an abandoned one before it was locked
        _unfinished.add(self.temporary)

    def flush(self) -> None:
        """Writes the bytes to the disk, since a full disk may raise only here. Raises OSError."""
        try:
            os.fsync(self.number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without this operation
                raise

    def publish(self) -> None:
        """Flushes the complete file and renames it to its final name, replacing an earlier file. Raises OSError."""
        self.flush()
        _publish({self.temporary: self._target})

    def discard(self) -> None:
        """Closes the descriptor, and removes the temporary file if it was not published."""
        if self.number >= 0:
            self.temporary.unlink(missing_ok=True)
            os.close(self.number)
            self.number = -1
        _unfinished.discard(self.temporary)


def open_part(path: Path, error: type[CodaxError], folder: Path | None = None) -> Part:
    """The `Part` of a path that the user gave; if it is a link, the file it points to is replaced. Raises `error`."""
    try:
        return Part(Path(os.path.realpath(path)), folder)
    except (FileExistsError, FileNotFoundError) as failure:
        raise error(f"{path}: {failure.strerror}") from failure
    except OSError as failure:
        raise error(f"{path}: cannot be written ({failure.strerror or failure})") from failure


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Lets `discard_unfinished` remove the folder during the block."""
    _unfinished.add(folder)
    try:
        yield
    finally:
        _unfinished.discard(folder)


def discard_unfinished() -> None:
    """Removes the temporary files and folders of this process, before an immediate exit.

    Complete files that were being renamed together are all renamed, so that the files of a model stay together.
    """
    for temporary, target in list(_publishing.items()):
        with contextlib.suppress(OSError):
            os.replace(temporary, target)
    for path in list(_unfinished):
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _publish(complete: Mapping[Path, Path]) -> None:
    """Renames complete temporary files to their targets."""
    mask = file_mask()
    for temporary in complete:
        temporary.chmod(0o666 & ~mask)  # mkstemp's files are private
    _publishing.update(complete)
    try:
        for temporary, target in complete.items():
            os.replace(temporary, target)
    finally:
        for temporary in complete:
            _publishing.pop(temporary, None)


def _discard_if_abandoned(temporary: Path) -> None:
    """Removes a temporary file whose process is dead, which is certain where the file system has locks."""
    with contextlib.suppress(OSError):
        number = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if try_lock(number):
                temporary.unlink()
        finally:
            os.close(number)
