"""`codax compile`: compiles the steps of a recipe before training, into the cache that training reads."""

from __future__ import annotations

import time
from typing import Annotated

import typer


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
    from codax.training.compilation import compile_programs
    from codax.training.logs import Terminal
    from codax.training.parallel import Parallel
    from codax.training.reporting import show_compilation
    from codax.training.step import all_phases

    mapped, began = Parallel(), time.monotonic()
    per_device = mapped.local_batch(recipe.train.batch_size, recipe.memory.accumulate) // jax.local_device_count()
    with Terminal(1) as terminal:
        terminal.say(f"{recipe.name} on {mapped.describe()}")
        planned = abstract_step(recipe, mapped, per_device, all_phases(recipe))
        how = show_compilation(compile_programs(planned.programs), terminal)
        terminal.say(f"compiled in {time.monotonic() - began:.1f} s{how}")
    print(f"Cache: {jax.config.jax_compilation_cache_dir or 'none, JAX keeps no programs'}")
