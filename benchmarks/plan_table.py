"""Plans recipes on TPU slices and prints the table of docs/scale.md.

    python benchmarks/plan_table.py --out runs/plans [--topologies v5e:4x4,v5p:2x2x4] [configs/mimi_24khz.py ...]

Every plan is one `codax plan --level O0 --no-search`, stored as JSON in --out; existing plans are reused. Each takes
minutes. Overrides of fields, --config.FIELD=VALUE, apply to all plans.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GIB = 2**30


def full_size() -> list[Path]:
    """The recipes of published sizes, whose names end with the sample rate."""
    return sorted((ROOT / "configs").glob("*khz*.py"))


def plan(recipe: Path, topology: str, folder: Path, extra: list[str]) -> dict | None:
    """The plan of a recipe, made unless it exists; None if planning fails."""
    file = folder / f"{'_'.join([recipe.stem, topology.replace(':', '_'), *extra]).replace('--config.', '')}.json"
    if not file.exists():
        command = [sys.executable, "-m", "codax.cli.main", "plan", "--config", str(recipe), "--topology", topology]
        command += ["--level", "O0", "--no-search", "--out", str(file), *extra]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not file.exists():
            print(f"{recipe.stem} on {topology}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr, flush=True)
            return None
    return json.loads(file.read_text(encoding="utf-8"))


def row(values: dict) -> list[str]:
    """The cells of a plan's row."""
    start = [values["recipe"], values["topology"]]
    start.append(f"{values['per_device_batch']} x {values['segment_seconds']:g} s")
    if "memory_bytes" not in values:
        needed = values["needed_bytes"]
        return [*start, f"over {needed / GIB:.1f}" if needed else "too much", "no", "", "", "", "", ""]
    memory, line = values["memory_bytes"], values["roofline"]
    seconds = [program["compile_cpu_seconds"] for program in values["programs"]]
    reduced = sum(x["bytes"] for x in values["collectives"].values())
    return [
        *start,
        f"{memory['peak'] / GIB:.2f}",
        "yes" if values["fits"] else "no",
        f"{values['flops'] / 1e12:.2f}",
        f"{values['bytes_accessed'] / 1e9:.0f}",
        f"{reduced / 1e6:.0f}",
        f"{1000 * line['step_seconds']:.0f} ({line['bound']})",
        f"{sum(seconds):.0f}, {max(seconds):.0f} in one of {len(seconds)}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", type=Path)
    parser.add_argument("--topologies", default="v5e:4x4,v5p:2x2x4")
    parser.add_argument("--out", type=Path, default=Path("runs/plans"))
    args, extra = parser.parse_known_args()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    head = ["recipe", "slice", "per chip", "peak GiB", "fits", "TFLOP", "GB", "MB exchanged", "least ms a step"]
    head.append("compilation, CPU s")
    rows = []
    for topology in args.topologies.split(","):
        for recipe in args.recipes or full_size():
            values = plan(recipe.resolve(), topology, args.out.resolve(), extra)
            if values is not None:
                rows.append(row(values))
    print("\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]))


if __name__ == "__main__":
    main()
