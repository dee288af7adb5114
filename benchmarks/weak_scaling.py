"""Prints what a plan's step would take on larger slices, with the same batch on each chip: weak scaling on paper.

    codax plan --config configs/encodec_24khz.py --topology v5e:4x4 --no-search --out plan.json
    python benchmarks/weak_scaling.py plan.json [--chips=16,64,256,1024,4096]

The step is the plan's least time of a chip, followed by the all-reduces of gradients and statistics, without overlap.
The plan has the bytes that one chip exchanges. Within a slice a chip sends 2 (n - 1) / n of them over its links. Of
several slices, each chip exchanges its share of the slice's sum with the other slices over the data centre's network.
Latencies, slow chips and the loading of data are not included. The learning rate's factor is the square root of the
batch's.
"""

import argparse
import json
import math
from pathlib import Path

from codax.planning.chips import CHIPS, Chip, all_reduce_seconds

# The largest slice in chips, and bytes/s of each chip to other slices, from the published specifications of Cloud TPU
# (v5e: 6.4 Tbit/s and v6e: 25.6 Tbit/s for 256 chips, v5p: 50 Gbit/s for a chip).
SLICES = {"v5e": (256, 3.125e9), "v5p": (6144, 6.25e9), "v6e": (256, 12.5e9)}


def exchange_seconds(size: float, chips: int, largest: int, outside: float, chip: Chip) -> float:
    """Time of an all-reduce of `size` bytes over `chips` chips, in as many of the largest slices as they need."""
    inside = min(chips, largest)
    slices = -(-chips // largest)
    return all_reduce_seconds(size, inside, chip) + 2 * (slices - 1) / slices * size / inside / outside


def rows(values: dict, counts: list[int]) -> list[list[str]]:
    """The cells of each number of chips."""
    generation = values["topology"].partition(":")[0]
    chip, (largest, outside) = CHIPS[generation], SLICES[generation]
    size = sum(x["bytes"] for x in values["collectives"].values())
    line = values["roofline"]
    alone = max(line["compute_seconds"], line["memory_seconds"])
    each = values["per_device_batch"] * values["segment_seconds"]
    cells = []
    for count in counts:
        exchange = exchange_seconds(size, count, largest, outside, chip)
        cells.append(
            [
                f"{count:,}",
                f"{count * values['per_device_batch']:,}",
                f"{math.sqrt(count / values['devices']):.2g}",
                f"{1000 * exchange:.2f}",
                f"{1000 * (alone + exchange):.1f}",
                f"{100 * alone / (alone + exchange):.1f}",
                f"{count * each / (alone + exchange):,.0f}",
            ]
        )
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="+", type=Path, help="JSON of `codax plan --out`")
    parser.add_argument("--chips", default="16,64,256,1024,4096")
    args = parser.parse_args()
    for path in args.plans:
        values = json.loads(path.read_text(encoding="utf-8"))
        if "collectives" not in values or values["topology"].partition(":")[0] not in SLICES:
            raise SystemExit(f"{path}: not a plan that fits a slice of {', '.join(SLICES)}")
        print(f"{values['recipe']} on {values['topology'].partition(':')[0]}\n")
        head = ["chips", "batch", "learning rate x", "exchange, ms", "least step, ms", "efficiency, %", "audio, s/s"]
        cells = rows(values, [int(count) for count in args.chips.split(",")])
        print("\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *cells]), end="\n\n")


if __name__ == "__main__":
    main()
