"""Recipes as absl flags: `--config=FILE` and `--config.FIELD=VALUE`, with one clear line for every error."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from absl import logging as _logging  # noqa: F401 (defines --verbosity)
from ml_collections import config_flags

from codax import config as config_module
from codax.config import Config, ConfigError
from codax.errors import CodaxError


def define_config(name: str = "config") -> flags.FlagHolder[Config]:
    """Defines the flag; its value is what the file's `get_config()` returns, with the overrides applied."""
    _resolve_field_types()
    return config_flags.DEFINE_config_file(name, help_string="Recipe: a Python file with get_config() -> Config.")


def read(recipe: str, overrides: Sequence[str]) -> Config:
    """The config of a recipe file, for programs whose flags are not absl's.

    Args:
      recipe: the file, as in `--config=FILE`.
      overrides: what else was given, `--config.FIELD=VALUE` each, and nothing else.

    Raises:
      CodaxError: naming the flag or field that cannot be used.
    """
    _resolve_field_types()
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=["", *overrides])
    rest = _parse(["", f"--config={recipe}", *overrides], values)
    if len(rest) > 1:
        raise CodaxError(f"unexpected argument {rest[1]!r}")
    return checked(holder.value)


def checked(value: object) -> Config:
    """The config of a flag, validated, with every field of its declared type.

    Raises:
      ConfigError: naming the field.
    """
    if value is None:
        raise ConfigError("--config is missing: give a recipe such as --config=configs/quickstart.py")
    if not isinstance(value, Config):
        raise ConfigError(f"--config: get_config() must return a codax.config.Config, not {type(value).__name__}")
    return Config.from_dict(dataclasses.asdict(value))


def parse(argv: list[str]) -> list[str]:
    """Parses the command line for `absl.app.run(main, flags_parser=parse)`.

    Raises:
      CodaxError: naming the flag or field that cannot be used.
    """
    rest = _parse(argv, flags.FLAGS)
    if flags.FLAGS["verbosity"].using_default_value:
        # absl's default under `app.run` shows whatever the libraries log for their own information.
        flags.FLAGS.verbosity = -1
    return rest


def _parse(argv: list[str], values: flags.FlagValues) -> list[str]:
    """What is left of the command line when the flags are taken. Raises CodaxError."""
    recipe = _recipe_path(argv)
    if recipe is not None and not recipe.is_file():
        raise ConfigError(f"{recipe}: no such recipe")
    try:
        return values(argv)
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError, OSError, ImportError, SyntaxError) as error:
        raise CodaxError(_explain(error, argv)) from error


def _recipe_path(argv: list[str]) -> Path | None:
    """The file given as --config=FILE or --config FILE; what follows a colon is an argument of its get_config()."""
    for argument, following in zip(argv[1:], [*argv[2:], ""], strict=True):
        name, has_value, value = argument.partition("=")
        if name in ("--config", "-config"):
            return Path((value if has_value else following).split(":")[0])
    return None


def _explain(error: Exception, argv: list[str]) -> str:
    """What is wrong with the command line, in one line."""
    for argument in argv[1:]:
        name, has_value, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name.startswith("config."):
            path = name.removeprefix("config.")
            wanted = _field_type(path)
            if wanted is None:
                return f"unknown config field {path} (in {argument})"
            if has_value and f"config.{path}" in str(error):
                return f"config field {path} = {value!r}: expected {wanted}"
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    if "parsing config file" in str(error):  # the message is a traceback
        return f"{_recipe_path(argv)}: get_config() failed ({cause})"
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    return text or type(error).__name__


def _field_type(path: str) -> str | None:
    """The declared type of a field such as "train.steps" in words; None = there is no such field."""
    cls: typing.Any = Config
    for part in path.split("."):
        if not dataclasses.is_dataclass(cls) or part not in typing.get_type_hints(cls):
            return None
        cls = typing.get_type_hints(cls)[part]
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(cls) or str(cls)


def _resolve_field_types() -> None:
    """ml_collections looks for classes in `dataclasses.Field.type`, where postponed annotations leave strings."""
    for cls in vars(config_module).values():
        if isinstance(cls, type) and dataclasses.is_dataclass(cls):
            hints = typing.get_type_hints(cls)
            for field in dataclasses.fields(cls):
                field.type = hints[field.name]


def fail(error: CodaxError) -> typing.NoReturn:
    """Shows an error as one line on stderr and ends the program with status 1.

    The process ends here and now: after a failed save, threads of Orbax would hold up an orderly end and fill the
    screen with their tracebacks.
    """
    with contextlib.suppress(OSError):  # nobody may be listening any more
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(1)
