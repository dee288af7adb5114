"""WORKDIR/samples/index.html: a run's audio and spectrograms by step and rate, and its losses, without a server."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from codax.config import Config
from codax.runtime import pages
from codax.storage.files import write_whole
from codax.training.logs import METRICS_FILE, read_metrics

FOLDER = "samples"
STEP_FOLDER = re.compile(r"step_(\d{8,})")
WIDTH, HEIGHT = 300, 100  # of a plot, in units of its own
_MOST_POINTS = 400  # of a line: more cannot be told apart, and the page stays small
_LOG_RATIO = 10.0  # largest over smallest value from which the axis is logarithmic
_FIRST = ("loss/generator", "loss/discriminator")
_ALSO = ("codebook/perplexity", "learning_rate")
_TITLES = {"validation snr": "validation SNR, dB", "validation si_sdr": "validation SI-SDR, dB"}
_SOURCES = ("original", "input")  # the same at every step
_Point = tuple[float, float]  # step, value


@dataclasses.dataclass(frozen=True)
class Plot:
    """A plot of one or more lines.

    Attributes:
      title: what it shows.
      lines: the name of each line, its SVG path, and its last value.
      low, high: range of the values.
      log: whether the axis of the values is logarithmic.
      steps: the first and the last step.
    """

    title: str
    lines: list[tuple[str, str, float]]
    low: float
    high: float
    log: bool
    steps: tuple[int, int]


def page_of(workdir: Path) -> Path:
    """Returns the path of the page."""
    return workdir / FOLDER / "index.html"


def write(workdir: Path, config: Config, step: int) -> Path:
    """Writes the page of the samples that WORKDIR/samples has up to `step`, and returns its path.

    Raises:
      OSError: the page cannot be written.
    """
    text = (
        pages.environment("codax.training")
        .get_template("samples.html")
        .render(
            name=config.name,
            step=step,
            steps=config.train.steps,
            written=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            plots=plots(read_metrics(workdir)),
            examples=examples(workdir / FOLDER, step),
            sources=_SOURCES,
            metrics=METRICS_FILE,
            width=WIDTH,
            height=HEIGHT,
        )
    )
    page = page_of(workdir)
    write_whole(page, text)
    return page


def examples(folder: Path, last: int) -> dict[str, dict[int, dict[str, str]]]:
    """Returns the files of each example: number -> step, the latest first -> label -> path below the folder.

    The label of the spectrograms is "png". Steps with missing files are left out, and so are steps after `last`, which
    are those of a run that was killed.
    """
    entries: dict[str, dict[int, dict[str, str]]] = {}
    for path in sorted(folder.glob("step_*/*"), reverse=True):
        place, name = STEP_FOLDER.fullmatch(path.parent.name), re.fullmatch(r"(\d+)(?:_(.+)\.wav|\.png)", path.name)
        if place and name and int(place[1]) <= last:
            labels = entries.setdefault(name[1], {}).setdefault(int(place[1]), {})
            labels[name[2] or "png"] = f"{path.parent.name}/{path.name}"
    return {
        number: complete
        for number, steps in sorted(entries.items())
        if (complete := {step: _sorted(labels) for step, labels in steps.items() if _is_complete(labels)})
    }


def _is_complete(labels: dict[str, str]) -> bool:
    return "png" in labels and not labels.keys() <= {"png", *_SOURCES}


def _sorted(labels: dict[str, str]) -> dict[str, str]:
    return dict(sorted(labels.items(), key=lambda label: _rank(label[0])))


def _rank(label: str) -> tuple[int, float, str]:
    """Sources come first, then rates from the lowest."""
    number = re.match(r"\d+(\.\d+)?", label)
    return (_SOURCES.index(label) if label in _SOURCES else len(_SOURCES), float(number[0]) if number else 0.0, label)


def plots(lines: Iterable[dict[str, Any]]) -> list[Plot]:
    """Draws the losses, and the scores of validation with a line for each rate."""
    train: dict[str, dict[str, list[_Point]]] = {name: {} for name in _FIRST}
    validation: dict[str, dict[str, list[_Point]]] = {}
    also: dict[str, dict[str, list[_Point]]] = {name: {} for name in _ALSO}
    for line in lines:
        for name, value in line.items():
            if not isinstance(value, float) or not math.isfinite(value):
                continue
            kind, _, rest = name.partition("/")
            if line.get("kind") == "validation" and rest and kind != "codebook":
                validation.setdefault(f"validation {kind}", {}).setdefault(rest, []).append((line["step"], value))
            elif line.get("kind") == "train" and (kind == "loss" or name in _ALSO):
                (also if name in _ALSO else train).setdefault(name, {}).setdefault("", []).append((line["step"], value))
    panels = {**train, **validation, **also}
    titles = {name: _TITLES.get(name, name.replace("/", " ").replace("_", " ")) for name in panels}
    return [_plot(titles[name], series) for name, series in panels.items() if series]


def _plot(title: str, series: dict[str, list[_Point]]) -> Plot:
    last_values = {name: points[-1][1] for name, points in series.items()}
    series = {name: _thin(points) for name, points in series.items()}
    values = [value for points in series.values() for _, value in points]
    low, high = min(values), max(values)
    log = low > 0 and high > _LOG_RATIO * low
    steps = [step for points in series.values() for step, _ in points]
    first, last = int(min(steps)), int(max(steps))

    def place(point: _Point) -> _Point:
        step, value = point
        bottom, top, y = (math.log(low), math.log(high), math.log(value)) if log else (low, high, value)
        right = WIDTH * (step - first) / max(1, last - first)
        return right, HEIGHT * (1 - (y - bottom) / (top - bottom) if top > bottom else 0.5)

    drawn = [(name, _path([place(p) for p in points]), last_values[name]) for name, points in series.items()]
    return Plot(title, drawn, low, high, log, (first, last))


def _thin(points: Sequence[_Point]) -> list[_Point]:
    """At most `_MOST_POINTS` points: the means of neighbours."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(s for s, _ in group) / len(group), sum(v for _, v in group) / len(group)) for group in groups]


def _path(points: Sequence[_Point]) -> str:
    """A line, or a dot if there is one point only."""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"M{path}" if len(points) > 1 else f"M{path}h0.01"
