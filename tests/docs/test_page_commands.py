"""Every command line and every field in the documentation exists, as the real parsers say."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pages
import pytest
from absl import flags
from codax.cli.completion import commands_of
from codax.cli.main import app
from codax.cli.options import with_common_options
from codax.config import Config, recipe_files, recipe_flags
from codax.config.section import Section, Tagged
from codax.metrics import registry

DOCUMENTS = pages.documents()
ROOT = pages.ROOT


@cache
def table() -> dict[str, Any]:
    """Every command of the program by its words, with the names of its options."""
    return {
        words: (command, {name for choice in choices for name in choice.names} | {"--version", "-V"})
        for words, (command, choices) in commands_of(with_common_options(app)).items()
    }


@cache
def fields() -> set[str]:
    """Every field of every class of a section."""
    known: set[str] = set()

    def visit(cls: type[Section]) -> None:
        for name in cls.field_names():
            known.add(cls.place(name))
        defaults = [getattr(cls(), name) for name in cls.field_names()] if cls not in (Section, Tagged) else []
        for value in defaults:
            if isinstance(value, Section):
                for each in value.classes.values() if isinstance(value, Tagged) else [type(value)]:
                    known.add(each.path)
                    visit(each)

    visit(Config)
    return known


def words_of(command: list[str]) -> tuple[str, list[str]]:
    """The words of the longest command of codax that a line begins with, and its arguments."""
    for count in (2, 1):
        words = " ".join(command[:count])
        if words in table() and len(command) >= count:
            return words, command[count:]
    raise AssertionError(f"codax {' '.join(command)}: there is no such command")


def check_codax(command: list[str]) -> None:
    words, arguments = words_of(command) if command and not command[0].startswith("-") else ("", command)
    parser, options = table()[words]
    if words in ("train", "eval"):
        check_program(words, arguments)
        return
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--config."):
            assert is_field(name.removeprefix("--config.")), argument
        elif name.startswith("--") and name != "--" and not (words == "data build" and "--" in arguments):
            assert name in options, f"codax {words} has no option {name}"
    if any("[" in argument or "..." in argument for argument in arguments) or not words:
        return  # a synopsis
    if not hasattr(parser, "commands") and "-h" not in arguments:
        parser.make_context(words, [argument for argument in arguments if not argument.startswith("[")])


def check_program(name: str, arguments: list[str]) -> None:
    """`codax train`, `codax eval` and their files: recipes with their fields, and flags with their values."""
    module = {"train": "codax.cli.train", "eval": "codax.cli.evaluate"}[name]
    importlib.import_module(module)
    known = {flag.name: flag for flag in flags.FLAGS.get_flags_for_module(module)}
    recipe, overrides = "", []
    for argument in (each.strip("[]") for each in arguments):
        flag, _, value = argument.removeprefix("--").partition("=")
        if name == "train" and flag == "config":
            recipe = value
        elif flag.startswith("config."):
            assert is_field(flag.removeprefix("config.")), argument
            overrides += [] if "$" in value else [argument]
        elif argument.startswith("--"):
            assert flag in known, f"{name} has no flag --{flag}"
            if re.fullmatch(r"[a-z0-9_]+", value):  # no synopsis, and no list
                known[flag].parser.parse(value)
            if flag == "metrics":
                assert {*value.split(",")} <= {*registry.names(), "..."}, argument
    if recipe and not re.search(r"[][]|\.\.\.|RECIPE", " ".join([recipe, *arguments])):
        existing = recipe if recipe != "mine.py" else "quickstart"  # which a tutorial copies
        recipe_flags.read(str(ROOT / existing) if "/" in existing else existing, overrides)


def check_python(command: list[str]) -> None:
    script, arguments = command[0], command[1:]
    if script in ("train.py", "eval.py"):
        check_program(script.removesuffix(".py"), arguments)
    elif script == "-m" and arguments[0] == "codax":
        check_codax(arguments[1:])
    elif script.endswith(".py"):
        source = (ROOT / script).read_text()
        assert source, script
        for argument in arguments[: arguments.index("--")] if "--" in arguments else arguments:
            name = argument.partition("=")[0]
            if name.startswith("--config.") and "parse_known_args" in source:
                assert is_field(name.removeprefix("--config.")), argument
            elif name.startswith("--"):
                stated = f'"{name}"' in source or f'"--{name[2:].removeprefix("no-")}"' in source
                assert stated or re.search(rf'DEFINE_\w+\(\s*"{name[2:]}"', source), f"{script} has no option {name}"


def is_field(name: str) -> bool:
    """Whether there is such a field, or an entry of a field that is a dictionary."""
    return name in fields() | {"FIELD"} or name.startswith("loss.extra.")


@cache
def extras() -> set[str]:
    # `setup.py` is read as text: the metadata of an editable installation may be older than the checkout.
    text = (ROOT / "setup.py").read_text() + (ROOT / "pyproject.toml").read_text()
    return set(re.findall(r'^\s*"?(\w+)"?\s*[:=] \[', text, re.MULTILINE))


def check(command: list[str]) -> None:
    """Checks one command of a block; programs that are not of this repository are left out."""
    while command and re.match(r"^[A-Z_]+=", command[0]):  # variables of the environment
        command = command[1:]
    program, arguments = (command[0], command[1:]) if command else ("", [])
    if program == "codax":
        check_codax(arguments)
    elif program == "python" and arguments:
        check_python(arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert not arguments or arguments[0] in targets, f"make {arguments[0]}"
    elif program == "pip":
        for extra in re.findall(r"(?:codax|\.)\[([\w,]+)\]", " ".join(arguments)):
            assert {*extra.split(",")} <= extras(), f"setup.py has no extra {extra}"


def described(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", DOCUMENTS, ids=described)
def test_commands_are_those_of_the_programs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    faults = []
    for text in pages.command_texts(page):
        for command in pages.commands(text):
            try:
                check(command)
            except Exception as error:
                faults.append(f"{' '.join(command)}: {type(error).__name__} {error}")
    assert not faults, "\n".join(faults)


def mentioned(page: Path) -> Iterator[tuple[str, str]]:
    """(span, field or option) of the inline code of a page."""
    for span in pages.spans(page):
        for field in re.findall(r"--config\.([\w.]+)", span):
            yield span, field
        match = re.fullmatch(r"([a-z_]+)((?:\.[a-z0-9_]+)+)(?:=.*)?", span)
        if match and match[1] in SECTIONS and Path(span).suffix not in FILES:
            yield span, match[1] + match[2]


SECTIONS = {name for name in Config.field_names() if isinstance(getattr(Config(), name), Section)}
FILES = {".py", ".md", ".json", ".safetensors", ".wav"}


@pytest.mark.parametrize("page", pages.markdown(), ids=described)
def test_fields_and_options_in_the_text_exist(page: Path) -> None:
    faults = [f"{span}: no field {field}" for span, field in mentioned(page) if not is_field(field)]
    for span in pages.spans(page):
        command = span.split()
        if len(command) > 1 and command[0] == "codax" and command[1][0].islower():
            words, arguments = words_of(command[1:])
            names = [each.partition("=")[0].strip("[]") for each in arguments if each.strip("[]").startswith("--")]
            known = table()[words][1]
            faults += [f"{span}: no option {name}" for name in names if name not in known and "config." not in name]
    assert not faults, "\n".join(faults)


def test_every_recipe_is_in_the_list() -> None:
    text = (ROOT / "docs" / "reference" / "recipes.md").read_text()
    missing = [name for name in recipe_files.packaged() if f"configs/{name}.py" not in text]
    assert not missing, missing
