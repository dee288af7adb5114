"""Recipes as absl flags, `--config=FILE` and `--config.FIELD=VALUE`, with one-line errors."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from absl import logging as _logging  # noqa: F401 (defines --verbosity)
from ml_collections import config_flags

from codax.config import Config, ConfigError
from codax.config.recipe_files import load_recipe
from codax.config.section import Section, Tagged, unknown_field
from codax.errors import CodaxError

_MISSING = "--config is missing: give a recipe such as --config=quickstart"
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def define_config() -> flags.FlagHolder[Config]:
    """Defines `--config`; its value is the config of the recipe file with the overrides applied."""
    return _define(flags.FLAGS, sys.argv)


def read(recipe: str, overrides: Sequence[str]) -> Config:
    """Reads a recipe file, for programs whose flags are not absl's.

    Args:
      recipe: the file, as in `--config=FILE`.
      overrides: arguments of the form `--config.FIELD=VALUE`.

    Raises:
      CodaxError: naming the invalid flag or field.
    """
    argv, values = ["", f"--config={recipe}", *overrides], flags.FlagValues()
    holder = _define(values, argv)
    rest = _parse(argv, values)
    if len(rest) > 1:
        raise CodaxError(f"unexpected argument {rest[1]!r}")
    return checked(holder.value, argv)


def checked(config: Config, argv: Sequence[str] = ("",)) -> Config:
    """Returns a validated config; rejects ill-typed fields and fields that were set without effect.

    Args:
      config: of the recipe, with the overrides.
      argv: the command line that it was read from.

    Raises:
      ConfigError: naming the field, and the flag that set it or the recipe.
    """
    try:
        return Config.from_dict(config.to_dict()).refuse_idle()
    except ConfigError as error:
        sources = [_recipe(argv)]
        for field, value in _overrides(argv):
            if re.search(rf"\b{re.escape(field)}\b", str(error)):
                sources.append(f"--config.{field}={value}")
        raise ConfigError(f"{sources[-1]}: {error}" if sources[-1] else str(error)) from error


def parse(argv: list[str]) -> list[str]:
    """Parses the command line for `absl.app.run(main, flags_parser=parse)`.

    Raises:
      CodaxError: naming the invalid flag or field.
    """
    rest = _parse(argv, flags.FLAGS)
    if flags.FLAGS["verbosity"].using_default_value:
        # absl's default under `app.run` shows the info lines of libraries.
        flags.FLAGS.verbosity = -1
    return rest


def show_help(module: str, usage: str) -> None:
    """Lets `--help` list the flags that a module defines, below `usage` if the program has no docstring."""
    main = sys.modules["__main__"]
    if main.__doc__ is None or Path(sys.argv[0]).suffix != ".py":
        main.__doc__ = usage
    for flag in flags.FLAGS.get_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _define(values: flags.FlagValues, argv: list[str]) -> flags.FlagHolder[Config]:
    """Defines `--config` with the overrides of a command line."""

    def recipe(path: str) -> Config:
        if not path:
            raise ConfigError(_MISSING)
        config, overrides = load_recipe(path), _overrides(argv)
        for field, value in overrides:
            _choose_class(config, field, value)
        for field, _ in overrides:
            _check_field(config, field)
        return config

    holder = config_flags.DEFINE_config_dataclass(
        "config",
        Config(),
        help_string=_help(),
        flag_values=values,
        sys_argv=argv if _has_recipe(argv) else [""],  # without a recipe there is nothing to override
        parse_fn=recipe,
    )
    values["config"].default_as_str = ""  # its fields are in the help
    values.register_key_flag_for_module(argv[0], values["config"])  # a flag of the program, which --help lists
    return holder


def _help() -> str:
    """Describes `--config` with all fields of a config and their defaults."""
    lines = ["Recipe: a Python file with get_config() -> Config. Its fields can be set; without a recipe they are:"]
    for section in Config().sections():
        for field in dataclasses.fields(section):
            value, place = getattr(section, field.name), section.place(field.name)
            if isinstance(section, Tagged) and field.name == section.tag:
                lines.append(f"--config.{place}={value} (or {', '.join(sorted({*section.classes} - {value}))})")
            elif field.init and not isinstance(value, Section):
                lines.append(f"--config.{place}={value}")
    return "\n".join(lines)


def _has_recipe(argv: Sequence[str]) -> bool:
    return any(argument.partition("=")[0] in ("--config", "-config") for argument in argv[1:])


def _recipe(argv: Sequence[str]) -> str:
    """The recipe file of a command line: the last value of `--config`."""
    recipe = ""
    for argument, following in zip(argv[1:], [*argv[2:], ""], strict=True):
        name, has_value, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == "config":
            recipe = value if has_value else following
    return recipe


def _overrides(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Returns field and value of every --config.FIELD=VALUE or --config.FIELD VALUE."""
    overrides = []
    for argument, following in zip(argv[1:], [*argv[2:], ""], strict=True):
        name, has_value, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name.startswith("config."):
            overrides.append((name.removeprefix("config."), value if has_value else following))
    return overrides


def _choose_class(config: Config, field: str, value: str) -> None:
    """Converts a section to the class that an override names. Raises ConfigError if there is no such class."""
    place, _, name = field.partition(".")
    section = getattr(config, place, None)
    if isinstance(section, Tagged) and name == section.tag:
        setattr(config, place, section.of_class(value))


def _check_field(config: Config, field: str) -> None:
    """Raises ConfigError if there is no such field."""
    section: typing.Any = config
    for part in field.split("."):
        if isinstance(section, dict) and part in section:  # entries of the recipe
            section = section[part]
            continue
        if not isinstance(section, Section):
            raise ConfigError(f"unknown config field {field}")
        if part not in section.field_names():
            raise _elsewhere(config, part) or unknown_field(type(section), part)
        section = getattr(section, part)
    if isinstance(section, dict):
        raise ConfigError(f"config field {field}: set one of {', '.join(section) or 'its entries in the recipe'}")


def _elsewhere(config: Config, name: str) -> ConfigError | None:
    """The error for a field that exists in one other section only."""
    places = [s.place(name) for s in config.sections() if name in s.field_names()]
    return ConfigError(f"unknown config field {name}; did you mean {places[0]}?") if len(places) == 1 else None


def _parse(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Parses flags; returns the other arguments. Raises CodaxError."""
    try:
        rest = values(argv)
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError) as error:
        if _overrides(argv) and not _has_recipe(argv):
            raise ConfigError(_MISSING) from error
        raise CodaxError(_explain(error, argv)) from error
    if not _has_recipe(argv):
        raise ConfigError(_MISSING)
    return rest


def _explain(error: Exception, argv: list[str]) -> str:
    """Explains an error of the command line in one line."""
    of_value = isinstance(error, flags.IllegalFlagValueError) or not isinstance(error, flags.Error)
    for field, value in _overrides(argv) if of_value else ():
        if f"config.{field}" in str(error):
            return f"config field {field} = {value!r}: expected {_words(field)}"
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    return text or type(error).__name__


def _words(field: str) -> str:
    """Describes the declared type of a field such as "train.steps"."""
    classes: list[type] = [Config]
    hint: typing.Any = Config
    for part in field.split("."):
        if typing.get_origin(hint) is dict:
            hint = typing.get_args(hint)[1]
            break
        hints = [typing.get_type_hints(cls) for cls in classes]
        hint = next((types[part] for types in hints if part in types), None)
        classes = [*hint.classes.values()] if isinstance(hint, type) and issubclass(hint, Tagged) else [hint]
        classes = [cls for cls in classes if dataclasses.is_dataclass(cls)]
    return "fields, one by one" if dataclasses.is_dataclass(hint) else _WORDS.get(hint) or str(hint)


def fail(error: CodaxError) -> typing.NoReturn:
    """Prints an error as one line on stderr and ends the program with status 1.

    The process ends immediately: after a failed save, threads of Orbax would delay a normal exit and print tracebacks.
    """
    with contextlib.suppress(OSError):  # the reader may have closed stderr
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(1)
