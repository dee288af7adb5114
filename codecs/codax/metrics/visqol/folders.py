"""`codax visqol` for two folders: prints a line of CSV or JSON per file."""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.errors import CodaxError
from codax.storage.csv_text import to_csv
from codax.storage.files import files_by_name, without_suffix

if TYPE_CHECKING:
    import numpy as np

    from codax.metrics.visqol import VisqolResult

COLUMNS: list[str] = ["file", "moslqo", "vnsim", "mode", "mapping", "lag_seconds", "error"]


def score_folders(ref: Path, deg: Path, *, mode: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Scores all audio files below `ref` against the file of the same name below `deg`; yields rows of `COLUMNS`.

    Args:
        ref, deg: folders. The suffixes of the files may differ.
        mode: "audio" or "speech"; other rates are resampled.
        options: of `codax.metrics.visqol.batch.visqol_batch`.

    Raises:
        CodaxError: no audio file, two for one original, or incompatible options.
    """
    from codax import audio
    from codax.metrics.visqol import NOMINAL_RATES, VisqolError
    from codax.metrics.visqol.batch import visqol_batch

    coded = files_by_name(deg, audio.AUDIO_SUFFIXES)
    read: collections.deque[str] = collections.deque()
    failed: list[tuple[str, CodaxError]] = []

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for name in audio_below(ref):
            try:
                other = coded.get(without_suffix(name))
                if other is None:
                    raise CodaxError(f"{deg / name}: no such file")
                rate = NOMINAL_RATES[mode]
                pair = audio.read(ref / name, sample_rate=rate)[0], audio.read(other, sample_rate=rate)[0]
            except CodaxError as error:
                failed.append((name, error))
                continue
            read.append(name)
            yield pair

    for result in visqol_batch(pairs(), NOMINAL_RATES.get(mode, 0), mode=mode, **options):  # pyright: ignore[reportArgumentType]
        name = read.popleft()
        if isinstance(result, VisqolError):
            path = {"reference": ref / name, "degraded": coded[without_suffix(name)]}.get(result.role or "")
            yield {"file": name, "error": f"{path}: {result}" if path else str(result)}
        else:
            yield _row(name, result)
    for name, error in failed:
        yield {"file": name, "error": str(error)}


def audio_below(folder: Path) -> list[str]:
    """The audio files below `folder`, sorted, relative to it.

    Raises:
        CodaxError: there are none.
    """
    from codax.audio import AUDIO_SUFFIXES

    return sorted(files_by_name(folder, AUDIO_SUFFIXES, name=str))


def print_rows(rows: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    """Prints rows to stdout as they are computed, and the mean to stderr.

    Raises:
        CodaxError: after all rows, if a file could not be scored.
    """
    scores, errors = [], []
    for row in rows:
        if as_json:
            print(json.dumps(row))
        else:
            if not scores and not errors:
                print(to_csv([COLUMNS]), end="")
            print(to_csv([[row.get(column) for column in COLUMNS]]), end="")
        sys.stdout.flush()
        if "error" in row:
            errors.append(row["error"])
        else:
            scores.append(row["moslqo"])
    if scores:
        of = f"{len(scores)} of {len(scores) + len(errors)}" if errors else str(len(scores))
        print(f"codax: {of} files, mean MOS-LQO {sum(scores) / len(scores):.4f}", file=sys.stderr)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CodaxError(errors[0] + more)


def _row(name: str, result: VisqolResult) -> dict[str, Any]:
    values = {column: getattr(result, column) for column in COLUMNS if hasattr(result, column)}
    return {"file": name} | {key: round(v, 9) if isinstance(v, float) else v for key, v in values.items()}
