"""Ends a run early, on request or after too many non-finite steps."""

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

GRACE_SECONDS = 60.0  # for the step in progress after a signal
_SLOW = 10.0  # factor for evaluations, checkpoints, and steps that are compiled first


class StopRequest:
    """Turns SIGTERM and SIGINT (Ctrl-C) into a request to stop after the step in progress; a second one acts at once.

    `with StopRequest(checkpoints.kept) as stop: ... if stop.requested(step): break`.

    A step that does not end keeps the main thread in compiled code, where Python calls no handlers. A second thread
    therefore also receives the signals, and ends the process with one line and status 1 if `requested` is not called
    within `GRACE_SECONDS`. With several processes, JAX handles SIGTERM, and this class only SIGINT.
    """

    def __init__(self, kept: Callable[[], str] = lambda: "no checkpoint was written") -> None:
        """Args: kept, returns the part of the error line that says which checkpoint can be resumed."""
        self._received = self._is_answered = False
        self._before: dict[int, Any] = {}
        text = "no step, evaluation or checkpoint ended within {:g} s of the signal to stop; {}"
        self._watchdog = Watchdog(GRACE_SECONDS, lambda seconds: text.format(seconds, kept()))
        self._clean_up = contextlib.ExitStack()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may set handlers
        # With several processes, JAX handles SIGTERM and makes the processes agree on a step to stop at.
        watched = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
        for number in watched:
            self._before[number] = signal.signal(number, self._handle)
        self._clean_up.enter_context(self._watchdog)
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        threading.Thread(target=self._listen, args=(receiver, frozenset(watched)), daemon=True).start()
        self._clean_up.callback(sender.close)  # ends the thread
        self._clean_up.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._clean_up.close()

    def patient(self, is_slow: bool = True) -> contextlib.AbstractContextManager[None]:
        """Allows the block more time than a step if `is_slow`."""
        return self._watchdog.patient(_SLOW if is_slow else 1.0)

    def requested(self, step: int) -> bool:
        """Whether to stop before step number `step`; all processes must call it at every step, and get one answer."""
        if self._received:
            self._is_answered = True
            self._watchdog.end()
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def _listen(self, receiver: socket.socket, watched: frozenset[int]) -> None:
        """Starts the grace period when the system delivers a signal, even if the main thread is busy."""
        with receiver:
            while numbers := receiver.recv(64):
                if watched.isdisjoint(numbers):
                    continue
                self._watchdog.begin()
                if self._is_answered:  # by the main thread in the meantime
                    self._watchdog.end()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


class BadStepGuard:
    """Stops a run after too many consecutive steps with non-finite losses or gradients."""

    def __init__(self, limit: int) -> None:
        """Args: limit, the number of consecutive non-finite steps that ends the run."""
        self._limit = limit

    def check(self, step: int, metrics: dict[str, Any]) -> None:
        """Checks the metrics of step `step`, and waits for them if necessary.

        Raises:
          CodaxError: the limit is reached.
        """
        bad = int(metrics["bad_steps"])
        if bad >= self._limit:
            raise CodaxError(
                f"the loss or a gradient was not finite in {bad} steps in a row (up to step {step}); the parameters "
                "are those of the last good step. Look at the data, or lower optimizer.learning_rate"
            )
