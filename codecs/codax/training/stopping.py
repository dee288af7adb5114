"""Ending a run early, on request or because it no longer learns."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import jax

from codax.errors import CodaxError


class StopRequest:
    """Turns SIGTERM and SIGINT (Ctrl-C) into a request to stop after the step in progress; a second one acts at once.

    `with StopRequest() as stop: ... if stop.requested(step): break`.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may set handlers
        # With several processes JAX itself watches for SIGTERM and makes the processes agree on the step to stop at.
        watched = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
        for number in watched:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def requested(self, step: int) -> bool:
        """Should the run stop before step number `step`? Every process must ask at every step; all get one answer."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


class BadStepGuard:
    """Stops a run whose losses or gradients stay infinite or not a number."""

    def __init__(self, limit: int) -> None:
        """Args: limit, the number of such steps in a row that ends the run."""
        self._limit = limit

    def check(self, step: int, metrics: dict[str, Any]) -> None:
        """Looks at the metrics of finished step `step`, waiting for them if need be.

        Raises:
          CodaxError: the limit is reached.
        """
        bad = int(metrics["bad_steps"])
        if bad >= self._limit:
            raise CodaxError(
                f"the loss or a gradient was not finite in {bad} steps in a row (up to step {step}); the parameters "
                "are those of the last good step. Look at the data, or lower optimizer.learning_rate"
            )
