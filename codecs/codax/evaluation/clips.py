"""Selects the utterances that a report plays, and draws their spectrograms."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from codax import audio
from codax.audio.spectrograms import spectrograms
from codax.evaluation.results import Results, Row
from codax.metrics import registry
from codax.storage.files import write_whole

FOLDER = "spectrograms"
_EXTREMES = 2  # number of worst and of best clips
_REST = 4  # number of evenly spaced other clips


@dataclasses.dataclass(frozen=True)
class Clip:
    """An utterance in the report.

    Attributes:
      rows: of every system.
      why: reason of the selection.
      picture: path of its spectrograms, relative to the folder of results; "" = none.
    """

    rows: list[Row]
    why: str
    picture: str = ""

    @property
    def name(self) -> str:
        return self.rows[0].utterance


def choose(results: Results) -> list[Clip]:
    """The worst, the best and some other utterances, by the mean of the first metric over all systems but the original.

    Utterances without that metric are not ranked.
    """
    rows: dict[str, list[Row]] = {}
    for row in results.rows:
        rows.setdefault(row.utterance, []).append(row)
    original = results.systems[0].key
    key, values = "", {}
    for key in results.keys:
        values = _means(rows, key, original) if registry.VALUES[key].better in ("higher", "lower") else {}
        if values:
            break
    names, chosen = list(rows), {}
    if len(names) <= 2 * _EXTREMES + _REST:
        chosen = dict.fromkeys(names, "")
    elif values:
        sign = 1 if registry.VALUES[key].better == "higher" else -1
        ranked = sorted(values, key=lambda name: sign * values[name])
        label = registry.VALUES[key].label
        chosen = dict.fromkeys(ranked[:_EXTREMES], f"worst by {label}")
        chosen |= {name: f"best by {label}" for name in ranked[::-1][:_EXTREMES] if name not in chosen}
    others = [name for name in names if name not in chosen]
    missing = 2 * _EXTREMES + _REST - len(chosen)
    chosen |= {others[i * len(others) // missing]: "" for i in range(min(missing, len(others)))} if missing > 0 else {}
    return [Clip(rows[name], why) for name, why in chosen.items()]


def _means(rows: dict[str, list[Row]], key: str, original: str) -> dict[str, float]:
    """Mean over the systems but the original, for utterances for which all of them have a value."""
    means = {}
    for name, group in rows.items():
        values = [row.value(key) for row in group if row.system != original]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            means[name] = float(np.mean(known))
    return means


def draw(clips: list[Clip], labels: dict[str, str], folder: Path) -> list[Clip]:
    """Writes spectrograms of the clips of every system; returns the clips with their paths.

    Args:
      clips: of `choose`.
      labels: by key of system.
      folder: of results, with audio/.
    """
    drawn = []
    for number, clip in enumerate(clips):
        signals, rate = {}, 1
        for row in clip.rows:
            if "system" not in row.errors and (folder / row.audio).exists():
                signal, rate = audio.read(folder / row.audio)
                signals[labels[row.system]] = signal.mean(axis=1)
        path = f"{FOLDER}/{number:02d}.png" if signals else ""
        if signals:
            (folder / FOLDER).mkdir(exist_ok=True)
            write_whole(folder / path, spectrograms(signals, rate)[0])
        drawn.append(dataclasses.replace(clip, picture=path))
    return drawn
