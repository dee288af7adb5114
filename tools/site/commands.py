"""The pages of all commands and their options, from the program itself.

A hook of mkdocs: it replaces the line `<!-- commands -->` of docs/reference/commands.md.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

MARK = "<!-- commands -->"
_OF_ALL = {"--quiet", "-q", "--verbose", "-v"}  # the page states them once


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replaces the mark of the page of the commands by a section for each."""
    return markdown.replace(MARK, "\n".join(page())) if MARK in markdown else markdown


def page() -> Iterator[str]:
    """Yields the lines of the sections of all commands."""
    for words, command in commands().items():
        yield f"\n## codax {words}\n"
        yield _text(command.help or "") + "\n"
        yield f"```text\ncodax {words} {_usage(command)}\n```\n"
        if not (rows := [*_arguments(command), *_options(command), *_flags(words)]):
            continue
        yield "| argument or option | default | meaning |"
        yield "|---|---|---|"
        for names, default, meaning in rows:
            yield f"| {names} | {_code(default)} | {_text(meaning)} |"


def commands() -> dict[str, Any]:
    """Returns every command by its words, without groups."""
    from codax.cli.completion import commands_of
    from codax.cli.main import app
    from codax.cli.options import with_common_options

    table = {words: command for words, (command, _) in commands_of(with_common_options(app)).items()}
    return {words: command for words, command in table.items() if not hasattr(command, "commands")}


def _usage(command: Any) -> str:
    names = []
    for param in command.params:
        if param.param_type_name == "argument":
            name = param.metavar or param.name.upper()
            names.append(f"[{name}]" if not param.required and not name.startswith("[") else name)
    return " ".join([*names, "[OPTIONS]"])


def _arguments(command: Any) -> Iterator[tuple[str, str, str]]:
    for param in command.params:
        if param.param_type_name == "argument":
            yield _code(param.metavar or param.name.upper()), "", param.help or ""


def _options(command: Any) -> Iterator[tuple[str, str, str]]:
    for param in command.params:
        if param.param_type_name == "option" and not _OF_ALL.issuperset(param.opts):
            names = ", ".join(_code(name) for name in (*param.opts, *param.secondary_opts))
            default = (
                "" if param.is_flag or param.default in (None, "", ()) or callable(param.default) else param.default
            )
            yield names, str(getattr(default, "value", default)), param.help or ""


def _flags(words: str) -> Iterator[tuple[str, str, str]]:
    """The flags of `codax train` and `codax eval`, which are absl's."""
    module = {"train": "codax.cli.train", "eval": "codax.cli.evaluate"}.get(words)
    if module is None:
        return
    import importlib

    from absl import flags

    importlib.import_module(module)
    if words == "train":
        yield "`--config`", "", "Recipe: a Python file with get_config(), or the name of a recipe of codax."
        yield "`--config.FIELD`", "", "Value of a field of the recipe, as in --config.train.steps=9."
    for flag in flags.FLAGS.get_flags_for_module(module):
        if flag.name != "config":
            value = flag.default
            default = ",".join(value) if isinstance(value, list) else "" if value in (None, False, "") else str(value)
            yield _code(f"--{flag.name}"), default, str(flag.help)


def _text(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split()).replace("<", "&lt;").replace("|", r"\|")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|") if text else ""


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()))
