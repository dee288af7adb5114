"""`codax train` and `codax eval`: programs whose flags are absl's, because they include the fields of a recipe."""

from __future__ import annotations

import sys

import typer
from typer.core import TyperCommand

from codax.runtime import messages

_LEVELS = {"-q": messages.QUIET, "--quiet": messages.QUIET, "-v": messages.VERBOSE, "--verbose": messages.VERBOSE}


class ForeignCommand(TyperCommand):
    """A command that passes on all of its arguments, except for the options that every command has."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        for argument in args:
            if argument in _LEVELS:
                messages.set_level(_LEVELS[argument])
        ctx.args = ["--help" if argument == "-h" else argument for argument in args if argument not in _LEVELS]
        return ctx.args


def train_command(context: typer.Context) -> None:
    """Train a codec: --config=RECIPE --workdir=DIR [--config.FIELD=VALUE ...]. RECIPE is a file or a name."""
    sys.argv = ["codax train", *context.args]  # before the import: the flags of a recipe depend on it
    from codax.cli.train import run

    run()


def eval_command(context: typer.Context) -> None:
    """Evaluate codecs and baselines: --model=DIR --data=SPEC --out=DIR [--baselines=opus:6,opus:12]."""
    sys.argv = ["codax eval", *context.args]
    from codax.cli.evaluate import run

    run()
