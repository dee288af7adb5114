"""Options shared by several commands, and those of every command."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codax.errors import CodaxError
from codax.runtime import messages

MODEL = (
    "A model folder, also of other projects; a weights file; the name of a shipped model, or of one on the hub, "
    "OWNER/NAME."
)
Model = Annotated[str, typer.Option("--model", metavar="MODEL", help=MODEL)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files, which are otherwise kept.")]
Kbps = Annotated[
    float | None,
    typer.Option(help="Kilobits per second and stream (channel, for a mono model). Default: the model's highest."),
]


def reject_idle(context: typer.Context, needs: str, *names: str) -> None:
    """Rejects options that were given on the command line and have no effect without `needs`.

    Raises:
      CodaxError: names the first of them.
    """
    for name in given(context, *names):
        raise CodaxError(f"--{name.replace('_', '-')} has no effect without {needs}")


def given(context: typer.Context, *names: str) -> dict[str, Any]:
    """The values of those of the parameters that were given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return {name: context.params[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _quiet(value: bool) -> None:
    if value:
        messages.set_level(messages.QUIET)


def _verbose(value: bool) -> None:
    if value:
        messages.set_level(messages.VERBOSE)


def _of_every_command(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", callback=_quiet, expose_value=False, help="Print results, warnings and errors only."
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", callback=_verbose, expose_value=False, help="Print every file, and more."),
    ] = False,
) -> None:
    pass


def _in_paragraphs(text: str) -> str:
    """Joins the lines of every paragraph, which the terminal breaks; paragraphs with indented lines are kept."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(each if "\n " in each else each.replace("\n", " ") for each in paragraphs)


def with_common_options(app: typer.Typer) -> Any:
    """Returns the app's command, in which it and every subcommand have --quiet and --verbose."""
    template = typer.Typer(add_completion=False)
    template.command()(_of_every_command)
    common = typer.main.get_command(template).params

    def extend(command: Any) -> Any:
        command.params = [*command.params, *common]
        command.help = _in_paragraphs(command.help or "")
        for child in getattr(command, "commands", {}).values():
            extend(child)
        return command

    return extend(typer.main.get_command(app))
