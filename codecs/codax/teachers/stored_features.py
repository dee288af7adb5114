"""`codax data build --teacher`: computes teacher features of existing shards."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from pathlib import Path

from codax.config import TeacherConfig
from codax.data import features, manifest, records
from codax.data.shards.build import Engine
from codax.errors import CodaxError
from codax.storage.digests import file_sha256
from codax.teachers.open import find_teacher, frame_rate, weights_file
from codax.teachers.teacher import Teacher


def shards_of_part(folder: Path, part: str) -> list[str]:
    """The shards of a folder that belong to a part such as "1/4". Raises CodaxError."""
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise CodaxError(f"--part: expected a number and a count such as 1/4, got {part!r}")
    rows = manifest.read(folder / manifest.NAME)
    shards = sorted({row["file"] for row in rows if row["file"].endswith(records.SUFFIX)})
    return shards[int(match[1]) - 1 :: int(match[2])]


def build_features(folder: Path, config: TeacherConfig, part: str, engine: Engine | None = None) -> Path:
    """Stores teacher features of a part of a folder's shards; returns the path of their description.

    Args:
      folder: with shards.
      config: of the teacher.
      part: such as "1/4".
      engine: processes the shards; None = sequentially in this process.

    Raises:
      CodaxError: no such teacher, other features exist, or the disk is full.
    """
    shards = shards_of_part(folder, part)
    teacher = find_teacher(config)
    about = features.About(
        teacher=Path(config.source).name,
        sha256=file_sha256(weights_file(config)),
        layer=config.layer,
        delay_seconds=teacher.delay_seconds,
        frame_rate=frame_rate(teacher),
        dimension=teacher.dimension,
    )
    about.write(folder)
    if engine is None:
        features.build(shards, teacher.whole, teacher.sample_rate)
    else:
        engine([os.path.abspath(shard) for shard in shards], functools.partial(_build_one, dataclasses.astuple(config)))
    return folder / features.NAME


def _build_one(config: tuple, shard: str) -> None:
    teacher = _teacher(config)
    features.build([shard], teacher.whole, teacher.sample_rate)


@functools.lru_cache(maxsize=1)
def _teacher(config: tuple) -> Teacher:
    """The teacher, opened once per process."""
    return find_teacher(TeacherConfig(*config))
