"""Progress of long operations on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from codax.runtime import messages
from codax.runtime.messages import clock

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows progress: `with Progress("decode", total=10) as progress: progress.advance()`.

    Args:
      description: name of the operation.
      total: amount of work; 0 = unknown.
      unit: unit of the work; "bytes" are shown in megabytes.
      brief: remove the bar at the end and print no last line, because the caller reports the result.
    """

    def __init__(self, description: str, total: float = 0, unit: str = "files", *, brief: bool = False) -> None:
        self._description, self._total, self._unit, self._brief = description, total, unit, brief
        self._done, self._bar, self._task, self._note = 0.0, None, None, ""
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not messages.is_quiet():
            from rich.console import Console

            from codax.runtime.bars import make_bar

            self._bar = make_bar(
                lambda task: self._amount(task.completed), console=Console(stderr=True), transient=self._brief
            )
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total or None)
        return self

    def advance(self, amount: float = 1) -> None:
        """Adds `amount` to the work done."""
        self.reach(self._done + amount)

    def reach(self, done: float, note: str = "") -> None:
        """Sets the work done; the note is shown after it."""
        self._done, self._note = done, note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, parts=(note,) if note else ())
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line(self._left())

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None and self._done and not self._brief:
            self._line(f" in {time.monotonic() - self._start:.1f} s")

    def say(self, text: str) -> None:
        """Shows a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self, end: str = "") -> None:
        if messages.is_quiet():
            return
        note = f", {self._note}" if self._note else ""
        print(f"{self._description}: {self._amount(self._done)}{note}{end}", file=sys.stderr, flush=True)

    def _amount(self, done: float) -> str:
        scale, unit = (1e6, "MB") if self._unit == "bytes" else (1.0, self._unit)
        total = f" of {self._total / scale:,.0f}" if self._total else ""
        return f"{done / scale:,.0f}{total} {unit}"

    def _left(self) -> str:
        if not (self._total and self._done):
            return ""
        seconds = (time.monotonic() - self._start) * (self._total - self._done) / self._done
        return f", left {clock(max(0.0, seconds))}"
