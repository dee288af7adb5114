"""Messages of programs for their user, at the level that `--quiet` or `--verbose` selects.

Results that a command is asked for are printed by the command; errors and warnings appear at every level.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

QUIET, NORMAL, VERBOSE = -1, 0, 1
_state = {"level": NORMAL}


def set_level(level: int) -> None:
    """Sets the level of this process."""
    _state["level"] = level


def is_quiet() -> bool:
    return _state["level"] <= QUIET


def is_verbose() -> bool:
    return _state["level"] >= VERBOSE


def report(text: str, *, to_stderr: bool = False) -> None:
    """Prints what a command has done; on stderr if stdout carries its output. A quiet program prints nothing."""
    if not is_quiet():
        print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)


def note(text: str) -> None:
    """Prints on stderr what a long operation does now. A quiet program prints nothing."""
    report(text, to_stderr=True)


def detail(text: str) -> None:
    """Prints a line on stderr if the program is verbose."""
    if is_verbose():
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    print(f"codax: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def logged_to(show_warning: Callable[[str], object], show: Callable[[str], object]) -> Iterator[None]:
    """Shows the package's log records within the block, each text once, instead of any other handler.

    Several sources may read the same files, and each of them reports what it skips.
    """
    log = logging.getLogger("codax")
    before = log.handlers[:], log.propagate
    log.handlers, log.propagate = [_Once(show_warning, show)], False
    try:
        yield
    finally:
        log.handlers, log.propagate = before


class _Once(logging.Handler):
    def __init__(self, show_warning: Callable[[str], object], show: Callable[[str], object]) -> None:
        super().__init__(logging.INFO)
        self._show_warning, self._show = show_warning, show
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._shown:
            self._shown.add(text)
            (self._show_warning if record.levelno >= logging.WARNING else self._show)(text)


def clock(seconds: float) -> str:
    """Returns a duration as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
