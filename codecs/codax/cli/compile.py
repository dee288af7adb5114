"""`codax compile`: compiles the steps of a recipe before training, into the cache that training reads."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from codax.errors import CodaxError
from codax.runtime import messages


def compile_command(
    context: typer.Context,
    config: Annotated[str, typer.Option(metavar="FILE", help="Recipe, as for train.py.")],
) -> None:
    """Compile all steps of a recipe for this machine's devices, so that training starts at once.

    Fields of the recipe are overridden as in training: --config.train.batch_size=64. The cache is that of JAX
    (JAX_COMPILATION_CACHE_DIR), else in codax's cache folder; copy it to machines of the same kind.
    """
    from codax.config import recipe_flags

    recipe = recipe_flags.read(config, context.args)
    import jax

    from codax.planning.abstract_step import abstract_step
    from codax.runtime.compilation import unusable
    from codax.training.compilation import compile_programs
    from codax.training.parallel import Parallel
    from codax.training.reporting import show_compilation
    from codax.training.start import adopt
    from codax.training.step import all_phases
    from codax.training.terminal import Terminal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would wait for the programs that are being compiled
    cache = jax.config.jax_compilation_cache_dir
    if cache and "://" not in cache and (reason := unusable(Path(cache))):
        raise CodaxError(f"{cache}: compiled programs cannot be kept ({reason})")
    if recipe.train.start_from:
        recipe = adopt(recipe, None)
    mapped, began = Parallel(), time.monotonic()
    per_device = mapped.local_batch(recipe.train.batch_size, recipe.memory.accumulate) // jax.local_device_count()
    messages.report(f"{recipe.name} on {mapped.describe()}")
    planned = abstract_step(recipe, mapped, per_device, all_phases(recipe))
    for note in planned.notes:
        messages.report(f"Note: {note}.")
    with Terminal(len(planned.programs), name="compile") as terminal:
        how = show_compilation(_advancing(compile_programs(planned.programs), terminal), terminal)
        terminal.say(f"compiled in {time.monotonic() - began:.1f} s{how}")
    print(f"Cache: {cache or 'none, JAX keeps no programs'}")


def _advancing(programs: Iterable[Any], terminal: Any) -> Iterator[Any]:
    """Yields compiled programs, and moves the terminal's bar."""
    for done, program in enumerate(programs, 1):
        terminal.advance(done)
        yield program
