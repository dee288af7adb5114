"""Selects the utterances that a report plays, and writes their spectrograms and samples for its player."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from codax import audio
from codax.audio.spectrograms import spectrogram
from codax.evaluation.results import Results, Row
from codax.listening.build import wave
from codax.listening.page import side_script
from codax.metrics import registry
from codax.storage.files import write_whole

FOLDER = "clips"
SECONDS = 20.0  # of a clip that the player has, from its start; its files have the whole
_EXTREMES = 2  # number of worst and of best clips
_REST = 4  # number of evenly spaced other clips


@dataclasses.dataclass(frozen=True)
class Signal:
    """A signal of the player: path of its files without suffix, relative to the folder of results; seconds, Hz."""

    path: str
    seconds: float
    rate: int

    @property
    def id(self) -> str:
        """Of the listening page's scripts, which are in its folder audio/."""
        return f"../{self.path}"

    @property
    def picture(self) -> str:
        return f"{self.path}.png"

    @property
    def script(self) -> str:
        return f"{self.path}.js"


@dataclasses.dataclass(frozen=True)
class Clip:
    """An utterance in the report.

    Attributes:
      rows: of every system.
      why: reason of the selection.
      signals: by key of system, without those that failed.
    """

    rows: list[Row]
    why: str
    signals: dict[str, Signal] = dataclasses.field(default_factory=dict)

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
        values = _means(rows, key, original) if registry.VALUES[key].sign else {}
        if values:
            break
    names, chosen = list(rows), {}
    if values:
        ranked = sorted(values, key=lambda name: registry.VALUES[key].sign * values[name])
        label, count = registry.VALUES[key].label, min(_EXTREMES, len(ranked) // 2)
        chosen = dict.fromkeys(ranked[:count], f"worst by {label}")
        chosen |= dict.fromkeys(ranked[::-1][:count], f"best by {label}")
    others = [name for name in names if name not in chosen]
    count = min(2 * _EXTREMES + _REST - len(chosen), len(others))
    chosen |= {others[i * len(others) // count]: "" for i in range(count)}
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


def write(clips: list[Clip], folder: Path) -> list[Clip]:
    """Writes what the report's player needs: for every signal a spectrogram, and a script with its samples.

    Pages opened from disk may load scripts and pictures, but not read audio files.

    Args:
      clips: of `choose`.
      folder: of results, with audio/.

    Returns:
      The clips with their signals.
    """
    written = []
    for number, clip in enumerate(clips):
        signals = {}
        for row in clip.rows:
            if "system" in row.errors or not (folder / row.audio).exists():
                continue
            rate = audio.info(folder / row.audio).rate
            samples = audio.excerpt(folder / row.audio, 0, round(SECONDS * rate))
            target = folder / FOLDER / f"{number:02d}"
            target.mkdir(parents=True, exist_ok=True)
            signal = Signal(f"{FOLDER}/{number:02d}/{row.system}", len(samples) / rate, rate)
            write_whole(folder / signal.picture, spectrogram(samples.mean(axis=1), rate))
            write_whole(folder / signal.script, side_script(signal.id, wave(audio.to_int16(samples), rate)))
            signals[row.system] = signal
        written.append(dataclasses.replace(clip, signals=signals))
    return written
