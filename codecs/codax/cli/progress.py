"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere; both on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_LINE_SECONDS = 30.0  # between plain lines


@contextlib.contextmanager
def progress(label: str, total: float) -> Iterator[Callable[[float], None]]:
    """Shows how much of `total` is done: `with progress("encode", 60.0) as show: show(12.5)`.

    Args:
      label: what is being done.
      total: seconds of audio.

    Yields:
      A function to call with the seconds done so far.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    last = time.monotonic()

    def line(done: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            print(f"{label}: {done:.0f} of {total:.0f} s", file=sys.stderr, flush=True)

    yield line
