"""A program on a terminal of a given width, and the screen that its user sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping

_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
_ROWS = 50


def run_on_terminal(code: str, width: int, env: Mapping[str, str] | None = None) -> str:
    """Runs Python code whose stdin, stdout and stderr are a terminal; returns everything that it writes."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm", **(env or {})}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    written = b""
    try:
        while data := os.read(master, 1 << 16):
            written += data
    except OSError:  # the terminal is closed with the last process
        pass
    finally:
        os.close(master)
    text = written.decode()
    assert process.wait() == 0, text
    return text


def screen(written: str, width: int) -> list[str]:
    """Returns the lines on the screen after the output: with the cursor's movements, wrapped at `width`.

    It knows the sequences that rich uses: colours, and movements and erasures of lines.
    """
    lines, row, column = [""], 0, 0
    for number, kind, newline, text in _ESCAPE.findall(written):
        if newline == "\r":
            column = 0
        elif newline:
            row += 1
        elif text:
            for character in text:
                if column == width:
                    row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
                column += 1
        elif kind == "A":
            row = max(0, row - int(number or 1))
        elif kind == "K" and row < len(lines):
            lines[row] = "" if number == "2" else lines[row][:column]
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
