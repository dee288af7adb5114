"""Progress of long operations on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

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
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            amount = progress.DownloadColumn() if self._unit == "bytes" else progress.MofNCompleteColumn(" of ")
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                amount,
                progress.TextColumn("" if self._unit == "bytes" else self._unit),
                progress.TextColumn("{task.fields[note]}"),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=self._brief,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total or None, note="")
        return self

    def advance(self, amount: float = 1) -> None:
        """Adds `amount` to the work done."""
        self.reach(self._done + amount)

    def reach(self, done: float, note: str = "") -> None:
        """Sets the work done; the note is shown after it."""
        self._done, self._note = done, note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None and self._done and not self._brief:
            self._line(f" in {time.monotonic() - self._start:.1f} s")

    def _line(self, end: str = "") -> None:
        scale, unit = (1e6, "MB") if self._unit == "bytes" else (1.0, self._unit)
        total = f" of {self._total / scale:.0f}" if self._total else ""
        note = f", {self._note}" if self._note else ""
        print(f"{self._description}: {self._done / scale:.0f}{total} {unit}{note}{end}", file=sys.stderr, flush=True)
