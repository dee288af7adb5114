"""Stores measurements of single utterances, so that an interrupted evaluation can resume.

Each is a NumPy file without pickles: the rows as JSON, and the codes and statistics of every system.
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from codax.evaluation.measuring import Measured
from codax.evaluation.results import Row
from codax.metrics.wer import ErrorCounts
from codax.storage.files import write_whole

FOLDER = ".measured"


class Journal:
    """Measurements by utterance number, in a folder of their own below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(exist_ok=True)

    def __len__(self) -> int:
        return sum(1 for _ in self._folder.glob("*.npz"))

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def write(self, number: int, measured: Measured) -> None:
        """Stores the measurements of utterance `number`."""
        rows = json.dumps([dataclasses.asdict(row) for row in measured.rows]).encode()
        arrays: dict[str, Any] = {f"codes/{key}": codes for key, codes in measured.codes.items()}
        arrays |= {f"sums/{system}/{name}": sums for (system, name), sums in measured.sums.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, rows=np.frombuffer(rows, np.uint8), **arrays)
        write_whole(self._path(number), buffer.getvalue())

    def read(self, number: int) -> Measured:
        """Loads the measurements of utterance `number`."""
        with np.load(self._path(number)) as arrays:
            rows = json.loads(arrays["rows"].tobytes())
            codes = {key.removeprefix("codes/"): arrays[key] for key in arrays.files if key.startswith("codes/")}
            sums = {}
            for key in arrays.files:
                kind, *names = key.split("/")
                if kind == "sums":
                    sums[names[0], names[1]] = arrays[key]
        for row in rows:
            row["counts"] = {key: ErrorCounts(**counts) for key, counts in row["counts"].items()}
        return Measured([Row(**row) for row in rows], codes, sums)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npz"
