"""CSV: no spreadsheet runs a cell, and what is read is what was written."""

import csv
import io
import math
from pathlib import Path

import codax
import pytest
from codax.storage import csv_text

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "-", "+a", "'=1", "''=1"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_cells_that_would_run_are_text_and_come_back(cell):
    text = csv_text.to_csv([["name", cell, 3]])
    assert next(csv.reader(io.StringIO(text, newline="")))[1] == f"'{cell}"
    assert csv_text.read(text) == [["name", cell, "3"]]


def test_numbers_and_other_texts_are_unchanged():
    row = [-1.5, "-1.5", "+3e-4", None, "", "it's", "'quoted'", "a=b", "a,b", 'say "x"', -3, math.inf]
    text = csv_text.to_csv([row], end="\r\n")
    assert text == '-1.5,-1.5,+3e-4,,,it\'s,\'quoted\',a=b,"a,b","say ""x""",-3,inf\r\n'
    assert csv_text.read(text) == [["" if cell is None else str(cell) for cell in row]]


def test_it_is_the_only_writer_of_csv():
    root = Path(codax.__file__).parent
    others = [
        path for path in root.rglob("*.py") if "csv.writer(" in (text := path.read_text()) or "DictWriter" in text
    ]
    assert others == [root / "storage" / "csv_text.py"]
