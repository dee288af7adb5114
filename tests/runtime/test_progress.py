"""Progress on a terminal and elsewhere."""

import io
import sys

import pytest
from codax.runtime import progress
from codax.runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_now_and_then_and_at_the_end(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("download", 4_000_000, unit="bytes") as shown:
        for seconds in (1, 10, 1):
            now[0] += seconds
            shown.advance(1_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "download: 2 of 4 MB, left 0:00:11\ndownload: 3 of 4 MB in 12.0 s\n"


def test_an_unknown_total_and_a_brief_report(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    with Progress("encode", unit="s", brief=True) as shown:
        shown.reach(2.6)
    assert capsys.readouterr().err == "encode: 3 s\n"


def test_failed_work_has_no_last_line(capsys):
    with pytest.raises(ValueError, match="broken"), Progress("decode", 3) as shown:
        shown.advance()
        raise ValueError("broken")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("unit", "expected"), [("parts", "2 of 3 parts"), ("bytes", "2 of 3 MB")])
@pytest.mark.parametrize("brief", [False, True])
def test_a_bar_on_a_terminal(monkeypatch, unit, expected, brief):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", Terminal())
    scale = 1_000_000 if unit == "bytes" else 1
    with Progress("build", 3 * scale, unit=unit, brief=brief) as shown:
        shown.advance(2 * scale)
    text = sys.stderr.getvalue()
    assert "build" in text
    assert expected in text
    erased = text.endswith("\x1b[2K")  # a brief bar is wiped out
    assert erased == brief
