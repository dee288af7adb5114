"""The tables of all fields of a recipe, from the dataclasses of `codax.config` and the comments beside their fields.

A hook of mkdocs: it replaces the line `<!-- fields -->` of docs/reference/config.md. A comment that begins with a unit
and a semicolon, or a name that ends with one, gives the unit.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator

from codax.config import Config
from codax.config.section import Section, Tagged

MARK = "<!-- fields -->"
UNITS = ("Hz", "kHz", "s", "dB", "ms", "kbps", "MB", "samples", "frames", "steps", "examples", "channels", "files")
_SUFFIXES = {
    "_hz": "Hz",
    "_seconds": "s",
    "_db": "dB",
    "_mb": "MB",
    "kbps": "kbps",
    "steps": "steps",
    "_step": "steps",
    "_every": "steps",
}


@dataclasses.dataclass(frozen=True)
class Field:
    """A row of a table; `default` is Python's text of the value, `meaning` continues the name."""

    place: str
    type: str
    default: str
    unit: str
    meaning: str


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replaces the mark of the page of the fields by the tables."""
    return markdown.replace(MARK, "\n".join(page())) if MARK in markdown else markdown


def page() -> Iterator[str]:
    """Yields the lines of all tables, a section of the page for each class."""
    for cls in classes():
        yield f"\n### {_title(cls)}\n"
        yield f"{_first_paragraph(cls)}\n"
        if rows := list(fields(cls)):
            yield "| field | default | unit | type | meaning |"
            yield "|---|---|---|---|---|"
            for row in rows:
                cells = (f"`{row.place}`", f"`{row.default}`", row.unit, row.type, row.meaning)
                yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def classes() -> list[type[Section]]:
    """Returns the classes of all sections: that of a recipe first, a general class before its special ones."""
    known: list[type[Section]] = []

    def visit(cls: type[Section]) -> None:
        if cls in known:
            return
        for base in reversed(cls.__mro__[1:]):
            if issubclass(base, Section) and base not in (Section, Tagged):
                visit(base)
        known.append(cls)
        for hint in typing.get_type_hints(cls).values():
            if isinstance(hint, type) and issubclass(hint, Section):
                visit(hint)
        for special in cls.classes.values() if Tagged in cls.__bases__ else ():
            visit(special)

    visit(Config)
    return known


def fields(cls: type[Section]) -> Iterator[Field]:
    """Yields the fields that a class defines itself, or gives another default."""
    hints, names = typing.get_type_hints(cls), inspect.get_annotations(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        hint = hints[field.name]
        if field.name in names and field.init and not (isinstance(hint, type) and issubclass(hint, Section)):
            text = _meaning(cls, field.name)
            unit, _, rest = text.partition(";")
            if unit in UNITS:
                text = rest.strip()
            else:
                unit = "" if hint is bool else _unit_of_name(field.name)
            needs = field.metadata.get("needs")
            if needs:
                text = f"{text.removesuffix('.')}{'; ' if text else ''}only with {needs}"
            yield Field(cls.place(field.name), _type(hint), _default(field), unit, text)


def _meaning(cls: type, name: str) -> str:
    """The comment of a field, or what a docstring says under "Attributes"; those of the base classes count too."""
    texts = (text for each in cls.__mro__ for text in (comments(each).get(name), _attributes(each).get(name)) if text)
    return next(texts, "")


@functools.cache
def comments(cls: type) -> dict[str, str]:
    """Returns the comment of every field of a class: the lines above it and the end of its line."""
    if not dataclasses.is_dataclass(cls):
        return {}
    lines = textwrap.dedent(inspect.getsource(cls)).splitlines()
    definition = typing.cast(ast.ClassDef, ast.parse("\n".join(lines)).body[0])
    texts = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            end = typing.cast(int, node.end_lineno)
            parts = [lines[end - 1].encode()[node.end_col_offset :].decode()]
            above = node.lineno - 2
            while lines[above].lstrip().startswith("#"):
                parts.insert(0, lines[above])
                above -= 1
            texts[node.target.id] = " ".join(part.strip().lstrip("# ") for part in parts).strip()
    return texts


@functools.cache
def _attributes(cls: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    _, _, text = (inspect.cleandoc(cls.__doc__ or "")).partition("Attributes:\n")
    parts = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
    return {name: " ".join(value.split()) for name, value in parts}


def _unit_of_name(name: str) -> str:
    return next((unit for suffix, unit in _SUFFIXES.items() if name.endswith(suffix)), "")


def _type(hint: typing.Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(typing.cast(typing.Any, field.default_factory)())


def _title(cls: type[Section]) -> str:
    if issubclass(cls, Tagged) and (tag := getattr(cls, cls.tag)):
        return f"{cls.path}, with {cls.tag} {tag}"
    return f"{cls.path or 'config'}: {cls.__name__}"


def _first_paragraph(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
