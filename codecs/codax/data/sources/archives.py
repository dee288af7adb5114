"""Files that hold many utterances each, for `codax data build`: tar files in WebDataset's style, parquet of datasets.

Both are read once, from front to back, and never unpacked as a whole. Training needs to read at random places, so
shards are made of them first.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from codax.data.sources import parquet, tars
from codax.data.sources.members import Member
from codax.errors import CodaxError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
_SUFFIXES = (*TAR_SUFFIXES, PARQUET_SUFFIX)


def is_archive(spec: str) -> bool:
    """Whether a name, or a pattern, is of these files."""
    if glob.has_magic(spec):
        found = _matches(spec)
        return all(map(is_archive, found)) if found else spec.lower().endswith(_SUFFIXES)
    return spec.lower().endswith(_SUFFIXES) and not os.path.isdir(os.path.expanduser(spec))


def _matches(spec: str) -> list[str]:
    return sorted(path for path in glob.glob(os.path.expanduser(spec), recursive=True) if os.path.isfile(path))


def find(spec: str) -> list[str]:
    """The files of a pattern, in alphabetical order. Raises CodaxError where there are none."""
    if not (found := _matches(spec)):
        raise CodaxError(f"{spec}: no such file")
    return found


def stem(path: str) -> str:
    """A path without the extension of an archive."""
    for suffix in _SUFFIXES:
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def members(path: str) -> Iterator[Member]:
    """The utterances of a file, in its order.

    Raises:
      ArchiveError: the file is damaged, perhaps after some members.
      CodaxError: a package that reads it is missing.
    """
    if path.lower().endswith(PARQUET_SUFFIX):
        return parquet.members(path)
    return tars.members(path)


def split_in_name(path: str) -> str:
    """ "train" for `train-00000-of-00010.parquet`, and so for the other splits; "" where the name tells none."""
    name = Path(path).name.lower()
    for split in ("train", "validation", "test"):
        if name.startswith(split) and not name[len(split)].isalnum():
            return split
    return ""
