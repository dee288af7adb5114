"""Files that hold many utterances each, for `codax data build`: tar files in WebDataset's style, parquet of datasets.

Both are read once, from front to back, and never unpacked as a whole. Training needs to read at random places, so
shards are made of them first.
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.data import manifest
from codax.errors import CodaxError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
_SUFFIXES = (*TAR_SUFFIXES, PARQUET_SUFFIX)
MAX_AUDIO_BYTES = 1 << 31
MAX_SIDE_BYTES = 1 << 20  # of a text or a JSON object beside audio
MAX_TEXT_BYTES = 1 << 17  # of all that is kept of these


class ArchiveError(CodaxError):
    """A file that is damaged or not what its name says; `reason` says how, without the file's name."""

    def __init__(self, path: str, reason: object):
        self.reason = " ".join(str(reason).split())[:200].rstrip(".") or type(reason).__name__
        super().__init__(f"{path}: {self.reason}")


@dataclasses.dataclass(frozen=True)
class Member:
    """An utterance: an audio file's bytes, its extension, and what is known of it; or `reason` why it is left out."""

    key: str
    data: bytes = b""
    suffix: str = ""
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    reason: str = ""


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
        from codax.data.sources import parquet

        return parquet.members(path)
    from codax.data.sources import tars

    return tars.members(path)


def facts(row: dict[str, Any]) -> dict[str, str]:
    """What a row or a JSON object tells of an utterance, under the names that manifests have."""
    found = {}
    for name in ("text", "language", "speaker", "licence", "split"):
        for alias in manifest.ALIASES.get(name, (name,)):
            value = row.get(alias)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                found[name] = str(value).strip().encode("utf-8", "replace").decode()  # JSON can name half characters
                break
    return found


def split_in_name(path: str) -> str:
    """ "train" for `train-00000-of-00010.parquet`, and so for the other splits; "" where the name tells none."""
    name = Path(path).name.lower()
    for split in ("train", "validation", "test"):
        if name.startswith(split) and not name[len(split)].isalnum():
            return split
    return ""
