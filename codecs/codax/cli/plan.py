"""`codax plan`: reports the requirements of a recipe on devices that are not present."""

from __future__ import annotations

import enum
import json
import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from codax.cli.options import Overwrite
from codax.errors import CodaxError
from codax.planning.chips import GIB
from codax.runtime import tables
from codax.storage.files import claim_output, write_whole


class Level(enum.StrEnum):
    """Optimisation levels of XLA."""

    O0 = "O0"
    O1 = "O1"
    O2 = "O2"
    O3 = "O3"


def plan_command(
    context: typer.Context,
    config: Annotated[str, typer.Option(metavar="FILE", help="Recipe, as for train.py.")],
    topology: Annotated[str, typer.Option(metavar="NAME", help="Such as v5e:4x4, v5p:2x2x1 or cpu:8.")],
    search: Annotated[bool, typer.Option(help="Also find the largest batch of a chip; compiles several times.")] = True,
    level: Annotated[
        Level | None, typer.Option(help="Optimisation; O0 compiles fastest. Default: as in training.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compile the training step for a TPU slice or for CPU devices, which need not be present, and report its needs.

    Fields of the recipe are overridden as in training: --config.train.batch_size=64.
    """
    if out is not None:
        claim_output(out, config, overwrite=overwrite)
    # Before JAX starts: nothing here runs on an accelerator.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from codax.config import recipe_flags

    recipe = recipe_flags.read(config, context.args)
    from codax.planning import plan as planning
    from codax.planning.targets import open_target

    target = open_target(topology)
    if target.platform == "tpu":
        # libtpu prints a stack trace for these signals; Python's handlers would wait for the end of a compilation.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    made = planning.make_plan(recipe, target, search=search, level=level.value if level else "")
    values = planning.as_values(made)
    if out is not None:
        write_whole(out, (json.dumps(values, indent=2) + "\n").encode())
    if as_json:
        print(json.dumps(values), flush=True)
    else:
        show(values)
    if not made.fits:
        raise CodaxError(planning.advice(made))


def show(values: dict[str, Any]) -> None:
    """Prints a plan as a table."""
    title = f"{values['recipe']} on {values['topology']}, {values['chip']} x {values['devices']}"
    tables.show(["per device and step", ""], rows(values), title=title)
    for note in values["notes"]:
        print(f"Note: {note}.")


def rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table."""
    table = [("batch", f"{values['per_device_batch']} x {values['segment_seconds']:g} s, {values['compute_dtype']}")]
    table.append(("remat, accumulate", f"{values['remat']}, {values['accumulate']}"))
    if "memory_bytes" in values:
        table += [(f"memory: {name}", gib(size)) for name, size in values["memory_bytes"].items()]
    elif values["needed_bytes"]:
        table.append(("memory: needed", gib(values["needed_bytes"])))
    table.append(("memory of a device", gib(values["hbm_bytes"])))
    table.append(("fits", "yes" if values["fits"] else "no"))
    if "largest_per_device_batch" in values:
        refused = values["refused_per_device_batch"]
        more = f"; {refused} does not" if refused else ""
        table.append(("largest batch that fits", f"{values['largest_per_device_batch']}{more}"))
    if "programs" in values:
        every = values["programs"]
        longest = max(every, key=lambda program: program["compile_cpu_seconds"])
        seconds = sum(program["compile_cpu_seconds"] for program in every)
        table.append((f"compilation of {len(every)} programs", f"{seconds:.0f} s of CPU time"))
        table.append(("the longest", f"{longest['compile_cpu_seconds']:.0f} s, {longest['name']}"))
    if "flops" in values:
        table.append(("FLOPs", f"{values['flops'] / 1e12:.3f} T"))
        table.append(("bytes read and written", gib(values["bytes_accessed"])))
        for kind, x in values["collectives"].items():
            table.append((f"{kind}, {x['count']} times", gib(x["bytes"])))
    if "roofline" in values:
        line = values["roofline"]
        for name in ("compute", "memory", "network"):
            table.append((f"least time: {name}", f"{1000 * line[f'{name}_seconds']:.2f} ms"))
        rate = line["audio_seconds_per_second"]
        table.append(("least time of a step", f"{1000 * line['step_seconds']:.2f} ms ({line['bound']})"))
        table.append(("all devices, at most", f"{rate:,.0f} s of audio per second"))
    return table


def gib(size: float) -> str:
    return f"{size / GIB:.3f} GiB"
