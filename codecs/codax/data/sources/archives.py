"""Archives of many utterances, for `codax data build`: tar files in WebDataset's layout, and parquet datasets.

Archives are read once, sequentially, and never unpacked completely. Training needs random access, so shards are made of
them first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from codax.data.sources import parquet, tars
from codax.data.sources.members import Member
from codax.storage.files import matches, require_file

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
_SUFFIXES = (*TAR_SUFFIXES, PARQUET_SUFFIX)


def is_archive(spec: str) -> bool:
    """Whether a path or glob pattern names archives."""
    named = _matches(spec) or ([] if os.path.isdir(os.path.expanduser(spec)) else [spec])
    return bool(named) and all(path.lower().endswith(_SUFFIXES) for path in named)


def _matches(spec: str) -> list[str]:
    return [path for path in matches(spec) if os.path.isfile(path)]


def find(spec: str) -> list[str]:
    """The files of a glob pattern, sorted. Raises CodaxError if there are none."""
    if not (paths := _matches(spec)):
        require_file(os.path.expanduser(spec))
    return paths


def stem(path: str) -> str:
    """A path without its archive extension."""
    for suffix in _SUFFIXES:
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def members(path: str) -> Iterator[Member]:
    """The utterances of an archive, in order.

    Raises:
      ArchiveError: the file is damaged, perhaps after some members.
      CodaxError: not a file, or an optional package that reads it is missing.
    """
    require_file(path)
    if path.lower().endswith(PARQUET_SUFFIX):
        return parquet.members(path)
    return tars.members(path)


def split_in_name(path: str) -> str:
    """The split that a file name starts with, e.g. "train" for `train-00000-of-00010.parquet`; "" if there is none."""
    name = Path(path).name.lower()
    for split in ("train", "validation", "test"):
        if name.startswith(split) and not name[len(split)].isalnum():
            return split
    return ""
