"""Draws the losses of trainings over their steps into a PNG file.

    python benchmarks/loss_curves.py runs/first runs/second --out=losses.png
    python benchmarks/loss_curves.py runs/*-small --losses=spectral,discriminator --separate --out=losses.png

A panel for each loss has a line for each run. With `--separate` a row for each run has a panel for each loss: for
recipes whose losses are of different kinds.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from codax.evaluation import plots

Curves = dict[str, dict[str, tuple[list[int], list[float]]]]


def read(runs: dict[str, Path]) -> Curves:
    """For each loss and run, the steps and the means since the step before."""
    curves: Curves = {}
    for name, folder in runs.items():
        for line in map(json.loads, (folder / "metrics.jsonl").open(encoding="utf-8")):
            for key, value in line.items():
                if line["kind"] == "train" and key.startswith("loss/") and value is not None:
                    steps, values = curves.setdefault(key.removeprefix("loss/"), {}).setdefault(name, ([], []))
                    steps.append(line["step"])
                    values.append(value)
    return curves


def plot(runs: dict[str, Path], path: Path, losses: Sequence[str] = (), separate: bool = False) -> None:
    """Draws losses (all of them by default) of runs, by the name in the legend, into a PNG file."""
    curves, names = read(runs), list(runs)
    losses = losses or sorted(curves)
    if separate:
        panels = [(loss, [name]) for name in names for loss in losses]
        columns, rows = len(losses), len(names)
    else:
        panels = [(loss, names) for loss in losses]
        columns = min(3, len(losses))
        rows = -(-len(losses) // columns)
    figure, handles = plots.figure_of(columns, rows), {}
    for number, (loss, shown) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        for name in shown:
            if name in curves.get(loss, {}):
                colour = plots.COLOURS[names.index(name) % len(plots.COLOURS)]
                (handles[name],) = axes.plot(*curves[loss][name], color=colour, linewidth=1.2)
        axes.set_title(loss, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.25, linewidth=0.6)
    plots.save(figure, {name: handles[name] for name in names if name in handles}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of train.py")
    parser.add_argument("--out", type=Path, default=Path("losses.png"))
    parser.add_argument("--losses", default="", help="names, separated by commas; all by default")
    parser.add_argument("--separate", action="store_true", help="a row of panels for each run")
    args = parser.parse_args()
    losses = [loss for loss in args.losses.split(",") if loss]
    plot({folder.name: folder for folder in args.runs}, args.out, losses, args.separate)


if __name__ == "__main__":
    main()
