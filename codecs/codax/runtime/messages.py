"""Messages of programs for their user, at the level that `--quiet` or `--verbose` selects.

Results that a command is asked for are printed by the command; errors and warnings appear at every level.
"""

from __future__ import annotations

import sys

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


def detail(text: str) -> None:
    """Prints a line on stderr if the program is verbose."""
    if is_verbose():
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    print(f"codax: {text}", file=sys.stderr, flush=True)
