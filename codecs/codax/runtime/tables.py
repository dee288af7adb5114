"""Tables that fit the terminal: columns without room continue in a table below, and no cell is shortened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

_FRAME = 3  # characters of padding and border for each column


def show(head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", file: TextIO | None = None) -> None:
    """Prints a table; the first column is repeated if the others need several tables.

    Args:
      head: names of the columns.
      rows: cells; the first of each names the row, the others are numbers.
      title: above the table.
      file: to print to; None = stdout. If it is no terminal, the table has all columns.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [_width(name, [row[i] for row in rows]) for i, name in enumerate(head)]
    target = file or sys.stdout
    console = Console(file=target, highlight=False)
    if not target.isatty():
        console = Console(file=target, highlight=False, width=max(len(title), *map(len, head), 1) + sum(widths) * 4)
    for number, block in enumerate(blocks(widths, console.width)):
        table = Table(title=Text(title, style="italic") if title and not number else None, title_justify="left")
        for i in block:
            table.add_column(Text(head[i]), justify="left" if i == 0 else "right", min_width=widths[i], overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[i]) for i in block))
        console.print(table)


def plain(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table as plain text; the first column is text, the others are numbers."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    return [text[0], "-" * len(text[0]), *text[1:]]


def blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Divides columns of these widths into tables of at most `room` characters that all begin with the first column.

    A table has at least one further column, if there is one.
    """
    tables: list[list[int]] = []
    used = room
    for i, width in enumerate(widths[1:], 1):
        if not tables or used + width + _FRAME > room:
            tables.append([0])
            used = 1 + widths[0] + _FRAME
        tables[-1].append(i)
        used += width + _FRAME
    return tables or [[0]]


def _width(name: str, cells: Sequence[str]) -> int:
    """The least width of a column: its cells have one line, and its name may have several."""
    return max(map(len, [*name.split(), *cells]), default=0)
