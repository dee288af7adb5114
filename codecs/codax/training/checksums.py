"""SHA-256 of a checkpoint's files, stored with them, which detects damaged files."""

from __future__ import annotations

import json
from pathlib import Path

from codax.errors import CodaxError
from codax.storage import strict_json
from codax.storage.digests import file_sha256
from codax.storage.files import write_whole

FILE = "checksums.json"


def write(folder: Path) -> None:
    """Writes FOLDER/checksums.json; all other files must be complete.

    Raises:
      OSError: a file cannot be read, or checksums.json cannot be written.
    """
    write_whole(folder / FILE, json.dumps(_digests(folder), indent=1).encode())


def problem(folder: Path) -> str:
    """Returns "FILE is missing" or "FILE is damaged"; "" if the files are intact or have no checksums.

    Raises:
      OSError: a file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return ""
    try:
        expected = strict_json.read_object(path, "list of checksums")
    except CodaxError:
        return f"{FILE} is damaged"
    present = _digests(folder)
    for name, digest in expected.items():
        if present.get(name) != digest:
            return f"{name} is {'damaged' if name in present else 'missing'}"
    return ""


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != FILE:
            digests[path.relative_to(folder).as_posix()] = file_sha256(path)
    return digests
