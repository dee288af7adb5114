"""Ends a process that waits too long for data or a step."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator


class Watchdog:
    """Ends the process if a wait takes too long, since a thread that hangs in a read cannot be stopped otherwise.

    `with Watchdog(600, message) as watchdog: with watchdog.watching(): batch = next(data)`.
    """

    def __init__(self, seconds: float, message: Callable[[float], str]) -> None:
        """Creates a watchdog that is not watching yet.

        Args:
          seconds: that a wait may take; 0 = unlimited.
          message: called at the end with the seconds that were allowed, returns a line for stderr.
        """
        self._seconds, self._message = seconds, message
        self._since: float | None = None
        self._factor = 1.0
        self._done = threading.Event()

    def __enter__(self) -> Watchdog:
        if self._seconds > 0:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Times the block."""
        self.begin()
        yield
        self.end()

    def begin(self) -> None:
        """Starts a wait, from any thread."""
        self._since = time.monotonic()

    def end(self) -> None:
        """Ends the wait."""
        self._since = None

    @contextlib.contextmanager
    def patient(self, factor: float) -> Iterator[None]:
        """Allows waits `factor` times as long in the block, and restarts the current wait after it."""
        self._factor = factor
        try:
            yield
        finally:
            if self._since is not None:
                self._since = time.monotonic()
            self._factor = 1.0

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._seconds / 4)):
            since, limit = self._since, self._seconds * self._factor
            if since is not None and time.monotonic() - since > limit:
                print(f"error: {self._message(limit)}", file=sys.stderr, flush=True)
                os._exit(1)
