"""Progress and tables on terminals of 80, 100 and 160 columns, and without a terminal."""

import io
import re

import pytest
from codax.cli.main import app
from codax.cli.options import with_common_options
from codax.runtime import tables
from codax.runtime.bars import fitted
from codax.runtime.tables import blocks
from codax.training.terminal import Terminal
from screens import run_on_terminal, screen

WIDTHS = (80, 100, 160)
LINE = {
    "loss/adversarial": 1.2345678, "loss/feature_matching": 0.00012345678, "loss/mel": 12.345678,
    "loss/generator": 123.45678, "loss/waveform": 0.0123, "codebook/perplexity": 512.3, "time/steps_per_second": 3.21,
    "time/audio_seconds_per_second": 51.4, "time/data_share": 0.03,
}  # fmt: skip
TRAINING = f"""
import time
from codax.training.terminal import Terminal
with Terminal(20_000) as terminal:
    terminal.say("a line above the bar")
    for step in range(1, 41):
        terminal.advance(1000 + step)
        time.sleep(0.005)
    terminal.report(1040, {LINE!r})
"""
HEAD = ["system", "kbps file", "kbps codes", *(f"measure{i} dB" for i in range(12))]
ROWS = [[f"codec {kbps} kbps", *(f"{kbps + i / 100:.2f} ±0.05" for i in range(14))] for kbps in (6, 12, 18)]
TABLE = f"""
from codax.cli.main import app
from codax.cli.options import with_common_options
from codax.runtime import tables
tables.show({HEAD!r}, {ROWS!r}, title="57 utterances")
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bar_of_training_fits(width):
    written = run_on_terminal(TRAINING, width)
    lines = [line for line in screen(written, width) if line]
    assert lines[0] == "a line above the bar"
    assert len(lines) == 2  # the bar has one line
    bar = lines[1]
    assert re.match(r"train [━╸╺]{16} 1,040/20,000  \S+ steps/s  left \d+:\d\d:\d\d", bar), bar
    # Losses follow in their order, whole, as far as there is room.
    losses = ["generator 123.5", "adversarial 1.235", "feature_matching 0.0001235", "mel 12.35"]
    shown = [loss for loss in losses if loss in bar]
    assert shown == losses[: len(shown)]
    assert len(shown) >= {80: 1, 100: 2, 160: 4}[width]
    assert "data 3 %" not in bar or width == 160


def test_training_without_a_terminal_has_a_line_per_report(capsys):
    with Terminal(20_000) as terminal:
        terminal.report(1040, LINE)
    assert capsys.readouterr().out == (
        "step 1,040/20,000  3.21 steps/s  left 1:38:27  generator 123.5  adversarial 1.235  "
        "feature_matching 0.0001235  mel 12.35  waveform 0.0123  perplexity 512.3  51.4 x real time  data 3 %\n"
    )


def test_warnings_are_shown_once(capsys):
    import logging

    with Terminal(10):
        for _ in range(3):
            logging.getLogger("codax.data").warning("bad.wav: skipped")
    assert capsys.readouterr().err == "warning: bad.wav: skipped\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_have_every_number_in_any_width(width):
    written = run_on_terminal(TABLE, width)
    lines = screen(written, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for row in ROWS:
        assert all(cell in text for cell in row)
    assert "…" not in text
    assert text.count("codec 6 kbps") == sum("system" in line for line in lines) == {80: 4, 100: 3, 160: 2}[width]


def test_a_table_without_a_terminal_is_one():
    out = io.StringIO()
    tables.show(HEAD, ROWS, file=out)
    lines = out.getvalue().splitlines()
    assert sum("codec" in line for line in lines) == 3
    assert all(any(cell in line for line in lines) for row in ROWS for cell in row)


def test_columns_are_divided_into_tables_with_the_first_column():
    assert blocks([10, 5, 5, 5], 100) == [[0, 1, 2, 3]]
    assert blocks([10, 5, 5, 5], 30) == [[0, 1, 2], [0, 3]]
    assert blocks([10, 50, 5], 30) == [[0, 1], [0, 2]]
    assert blocks([10], 5) == [[0]]


def test_parts_are_whole():
    assert fitted(["12/20", "3 steps/s", "left 1:00"], 17) == "12/20  3 steps/s"
    assert fitted(["12/20", "3 steps/s"], 4) == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bar_of_work_fits(width):
    code = """
import time
from codax.runtime.progress import Progress
with Progress("evaluating", 57, unit="utterances") as progress:
    for _ in range(12):
        progress.advance()
        time.sleep(0.01)
"""
    lines = [line for line in screen(run_on_terminal(code, width), width) if line]
    assert len(lines) == 1
    assert re.fullmatch(r"evaluating [━╸╺]{16} 12 of 57 utterances  left 0:00:0\d", lines[0]), lines


def test_the_terminal_breaks_the_lines_of_help():
    def commands(command):
        yield command
        for child in getattr(command, "commands", {}).values():
            yield from commands(child)

    texts = {command.name: command.help for command in commands(with_common_options(app))}
    assert len(texts) > 20 and all("\n" not in part for text in texts.values() for part in text.split("\n\n"))
