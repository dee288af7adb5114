"""Reads token data sets made by `codax tokenize`."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.storage import strict_json
from codax.storage.files import require_file
from codax.tokens import shards

NAME = "dataset.json"
KIND = "codax tokens"
VERSION = 1


class TokenDataset:
    """The records of a token data set: `dataset[i]` is a dictionary.

    It has `codes`, int16 or int32 [frames, quantizers], `id`, `length` (samples per channel at `sample_rate` Hz),
    `channels`, `frame_rate` (Hz), and `text`, `speaker` and `language` where known. It is a data source of Grain, and a
    `torch.utils.data.Dataset` in all but name.

    Attributes:
      folder: of the data set.
      about: the contents of its dataset.json: model, hash, codebook_sizes, hours, statistics of use.
    """

    def __init__(self, folder: str | Path, split: str | None = None):
        """Opens the shards.

        Args:
          folder: of the data set.
          split: such as "train"; None = all records.

        Raises:
          CodaxError: no data set, no such split, or a shard is missing or of another size.
        """
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        self._form, self._names, counts = self.about["format"], [], []
        for path in self.folder.glob(f"*{shards.suffix(self._form)}"):
            if path.name not in self.about["shards"]:  # other readers of the folder would read it
                raise CodaxError(f"{path}: does not belong to the data set that {NAME} describes")
        for name, facts in self.about["shards"].items():
            if split is None or name.rsplit("-", 2)[0] == split:
                path = self.folder / name
                require_file(path)
                if path.stat().st_size != facts["bytes"]:
                    raise CodaxError(f"{path}: has {path.stat().st_size} bytes, {NAME} states {facts['bytes']}")
                self._names.append(name)
                counts.append(facts["records"])
        if not self._names:
            known = ", ".join(sorted(self.about["splits"]))
            raise CodaxError(f"{folder}: has no split {split!r}, only {known}")
        self._starts = [0, *itertools.accumulate(counts)]
        self._readers: dict[str, shards.Reader] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, which opens the shards itself."""
        return {**self.__dict__, "_readers": {}}

    def __repr__(self) -> str:
        return f"TokenDataset({str(self.folder)!r}, {len(self)} records, {self.about['model']})"

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[shards.Record]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> shards.Record:
        """Reads a record. Raises IndexError, and CodaxError for a damaged shard."""
        index = int(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        number = bisect.bisect_right(self._starts, index) - 1
        path = self.folder / self._names[number]
        if path.name not in self._readers:
            count, reader = shards.open_shard(path, self._form, self.about["hash"])
            if count != self._starts[number + 1] - self._starts[number]:
                raise CodaxError(f"{path}: has {count} records, {NAME} states another number")
            self._readers[path.name] = reader
        try:
            return shards.check(self._readers[path.name](index - self._starts[number]), self.about["codebook_sizes"])
        except ValueError as error:
            raise CodaxError(f"{path}: record {index - self._starts[number]}: {error}") from error


def read_about(folder: Path) -> dict[str, Any]:
    """Returns the contents of a data set's dataset.json. Raises CodaxError: missing, or not of a token data set."""
    path = folder / NAME
    if not folder.is_dir() or not path.exists():
        unfinished = "; an interrupted codax tokenize resumes with the same command" if folder.is_dir() else ""
        raise CodaxError(f"{folder}: holds no {NAME}, as codax tokenize writes it{unfinished}")
    about = strict_json.read_object(path, "description of tokens")
    if about.get("kind") != KIND or about.get("version") != VERSION:
        raise CodaxError(f"{path}: does not describe tokens of version {VERSION}")
    sizes, files = about.get("codebook_sizes"), about.get("shards")
    is_sound = (
        about.get("format") in shards.FORMATS
        and isinstance(about.get("model"), str)
        and re.fullmatch("[0-9a-f]{16}", str(about.get("hash"))) is not None
        and isinstance(about.get("splits"), dict)
        and isinstance(sizes, list)
        and bool(sizes)
        and all(type(size) is int and 0 < size < 1 << 31 for size in sizes)
        and isinstance(files, dict)
        and all(_is_shard(name, facts) for name, facts in files.items())
    )
    if not is_sound:
        raise CodaxError(f"{path}: model, hash, format, codebook_sizes or shards are missing or wrong")
    return about


def _is_shard(name: str, facts: Any) -> bool:
    return (
        Path(name).name == name
        and isinstance(facts, dict)
        and all(type(facts.get(key)) is int and facts[key] > 0 for key in ("records", "bytes"))
    )
