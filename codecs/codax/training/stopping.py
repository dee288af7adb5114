"""Ending a run early, on request or because it no longer learns."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import jax

from codax.errors import CodaxError
from codax.training.watchdog import Watchdog

GRACE_SECONDS = 60.0  # for the step in progress, once a signal asks for the end of the run
_SLOW = 10.0  # times as long for an evaluation, and for a step that is compiled first


class StopRequest:
    """Turns SIGTERM and SIGINT (Ctrl-C) into a request to stop after the step in progress; a second one acts at once.

    `with StopRequest(checkpoints.kept) as stop: ... if stop.requested(step): break`.

    A step that does not end holds the main thread in compiled code, where Python never gets to call a handler. So a
    thread of its own learns of the signals as well, and ends the process, with one line and status 1, if `requested` is
    not called within `GRACE_SECONDS`. With several processes JAX watches for SIGTERM, and this for SIGINT alone.
    """

    def __init__(self, kept: Callable[[], str] = lambda: "no checkpoint was written") -> None:
        """Args: kept, for the line at a forced end: what there is to go on from."""
        self._received = self._is_answered = False
        self._before: dict[int, Any] = {}
        grace = GRACE_SECONDS
        self._dog = Watchdog(grace, lambda: f"no step ended within {grace:g} s of the signal to stop; {kept()}")
        self._clean_up = contextlib.ExitStack()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may set handlers
        # With several processes JAX itself watches for SIGTERM and makes the processes agree on the step to stop at.
        watched = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
        for number in watched:
            self._before[number] = signal.signal(number, self._handle)
        self._clean_up.enter_context(self._dog)
        told, tell = socket.socketpair()
        tell.setblocking(False)
        threading.Thread(target=self._listen, args=(told, frozenset(watched)), daemon=True).start()
        self._clean_up.callback(tell.close)  # at which the thread ends
        self._clean_up.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._clean_up.close()

    def patient(self, is_slow: bool = True) -> contextlib.AbstractContextManager[None]:
        """A block that takes longer than a step does, if `is_slow`."""
        return self._dog.patient(_SLOW if is_slow else 1.0)

    def requested(self, step: int) -> bool:
        """Should the run stop before step number `step`? Every process must ask at every step; all get one answer."""
        if self._received:
            self._is_answered = True
            self._dog.end()
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def _listen(self, told: socket.socket, watched: frozenset[int]) -> None:
        """Starts the grace period when the system delivers a signal, whatever the main thread is at."""
        with told:
            while numbers := told.recv(64):
                if watched.isdisjoint(numbers):
                    continue
                self._dog.begin()
                if self._is_answered:  # in the meantime
                    self._dog.end()

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
