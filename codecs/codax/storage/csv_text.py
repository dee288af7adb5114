"""CSV that is safe to open in a spreadsheet: text that the program would run as a formula begins with an apostrophe.

Spreadsheets run cells that begin with =, +, -, @ (also in full width), a tab or a line break; OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def to_csv(rows: Iterable[Iterable[object]], *, end: str = "\n") -> str:
    """Returns rows of cells as CSV; None is an empty cell, and `end` ends a line."""
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows([_escaped(cell) for cell in row] for row in rows)
    return out.getvalue()


def read(text: str) -> list[list[str]]:
    """Returns the cells of CSV as `to_csv` was given them, without empty lines. Raises csv.Error."""
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    return [[cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell for cell in row] for row in rows]


def _escaped(cell: object) -> object:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
