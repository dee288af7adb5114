"""The table and the plots of the timings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from case import Case

HEAD = (
    "| case | codax | peers | ratio of medians | peak GB, codax / peer | start + first result, s, codax / peer |",
    "|---|---|---|---|---|---|",
)


def fastest(result: dict) -> str | None:
    """The peer with the smallest median."""
    peers = {name: side["median"] for name, side in result["sides"].items() if name != "codax"}
    return min(peers, key=peers.__getitem__) if peers else None


def row(result: dict) -> str:
    """A line of the table: medians with their spread, codax and the fastest peer."""
    sides, peer = result["sides"], fastest(result)
    ours = sides.get("codax")
    names = [name for name in sides if name != "codax"]
    cells = [
        Case(**result["case"]).name,
        _spread(ours) if ours else "",
        ", ".join(f"{n} {_spread(sides[n])}" for n in names),
    ]
    if ours and peer:
        theirs = sides[peer]
        cells += [
            f"{theirs['median'] / ours['median']:.2f}",
            f"{_gigabytes(ours)} / {_gigabytes(theirs)}",
            f"{ours['load']:.1f} + {ours['first']:.1f} / {theirs['load']:.1f} + {theirs['first']:.1f}",
        ]
    elif ours:
        cells += ["", _gigabytes(ours), f"{ours['load']:.1f} + {ours['first']:.1f}"]
    return f"| {' | '.join(cells)} |"


def _gigabytes(side: dict) -> str:
    """Memory of the accelerator, if any, otherwise of the process."""
    return f"{(side.get('device_peak') or side['peak']) / 1e9:.2f}"


def _spread(side: dict) -> str:
    low, high = side["seconds"][0], side["seconds"][-1]
    if side["median"] < 1:
        return f"{1000 * side['median']:.0f} ms ({1000 * low:.0f} to {1000 * high:.0f})"
    return f"{side['median']:.2f} s ({low:.2f} to {high:.2f})"


def write_report(folder: Path, results: list[dict]) -> None:
    """Writes table.md, ratios.png and, if lengths, batches or levels vary, curves.png."""
    (folder / "table.md").write_text("\n".join([*HEAD, *map(row, results)]) + "\n", encoding="utf-8")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    compared = [r for r in results if "codax" in r["sides"] and fastest(r)]
    if compared:
        figure, axes = plt.subplots(figsize=(8, 1 + 0.35 * len(compared)), layout="constrained")
        ratios = [r["sides"][fastest(r)]["median"] / r["sides"]["codax"]["median"] for r in compared]
        bars = axes.barh([Case(**r["case"]).name for r in compared], ratios)
        axes.bar_label(bars, fmt="%.2f")
        axes.axvline(1, color="black", linewidth=1)
        axes.invert_yaxis()
        axes.set_xlabel("time of the fastest PyTorch codec / time of codax")
        figure.savefig(folder / "ratios.png", dpi=120)
        plt.close(figure)
    figure, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    drawn = [_curve(axes, results, field) for axes, field in zip(panels, ("seconds", "batch", "levels"), strict=True)]
    if any(drawn):
        figure.savefig(folder / "curves.png", dpi=120)
    plt.close(figure)


def _curve(axes, results: list[dict], field: str) -> bool:
    """Time against one field, for cases that differ in it only. Returns whether there are any."""
    lines: dict[tuple, list[tuple[float, float]]] = {}
    for result in results:
        case = Case(**result["case"])
        value = getattr(case, field)
        if value is None or case.model != "encodec_24khz":
            continue
        fixed = dataclasses.replace(case, **{field: 1})
        for side, timing in result["sides"].items():
            lines.setdefault((side, fixed.task, fixed), []).append((value, timing["median"]))
    longest = {key: sorted(points) for key, points in lines.items() if len(points) > 2}
    for (side, task, _), points in longest.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=f"{side}, {task}")
    axes.set_xlabel({"seconds": "length, s", "batch": "batch", "levels": "quantizers"}[field])
    axes.set_ylabel("time, s")
    if longest:
        axes.legend(fontsize="small")
    return bool(longest)
