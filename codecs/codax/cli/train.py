"""`codax train` and train.py: trains a codec by a recipe. The flags are absl's, as those of the recipe's fields."""

from __future__ import annotations

import sys

from absl import app, flags

from codax.config import recipe_flags
from codax.errors import CodaxError
from codax.runtime.allocator import use_huge_pages
from codax.runtime.program import named_devices, program, quiet_checkpoints

USAGE = "Trains a codec: codax train --config=quickstart --workdir=runs/quickstart [--config.train.steps=9]"
_CONFIG = recipe_flags.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; an interrupted run resumes from it.")
_PARALLEL = flags.DEFINE_enum("parallel", "shard_map", ["shard_map", "pmap"], "How the step is mapped over devices.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Join the other processes of a run that spans several hosts.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, if it is not detected.")
_PROCESSES = flags.DEFINE_integer("num_processes", None, "With --coordinator: number of processes.")
_INDEX = flags.DEFINE_integer("process_index", None, "With --coordinator: index of this process, from 0.")
_HEARTBEAT = flags.DEFINE_integer(
    "heartbeat_seconds", 100, "The run ends after a process has been silent for this time.", lower_bound=1
)


def main(argv: list[str]) -> None:
    with program(), quiet_checkpoints():
        try:
            with named_devices():
                train(argv)
        except CodaxError as error:
            recipe_flags.fail(error)


def train(argv: list[str]) -> None:
    if len(argv) > 1:
        raise CodaxError(f"unexpected argument {argv[1]!r}")
    config = recipe_flags.checked(_CONFIG.value, sys.argv)
    if not _WORKDIR.value:
        raise CodaxError("--workdir is missing: give a folder for the run")
    # JAX is imported once the command line is known to be right.
    from codax.training import loop, processes

    where = (_COORDINATOR.value, _PROCESSES.value, _INDEX.value)
    if not (_DISTRIBUTED.value or where != (None, None, None)) and flags.FLAGS["heartbeat_seconds"].present:
        raise CodaxError("--heartbeat_seconds has no effect without --distributed or --coordinator")
    if _DISTRIBUTED.value or where != (None, None, None):
        processes.initialize_distributed(*where, heartbeat=_HEARTBEAT.value)
    with processes.named_processes():
        loop.train(config, _WORKDIR.value, parallel=_PARALLEL.value)


def parse(argv: list[str]) -> list[str]:
    try:
        return recipe_flags.parse(argv)
    except CodaxError as error:
        recipe_flags.fail(error)


def run() -> None:
    """Runs the program with the flags of `sys.argv`, and exits."""
    use_huge_pages()
    recipe_flags.show_help(__name__, USAGE)
    app.run(main, flags_parser=parse)
