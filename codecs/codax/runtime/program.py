"""What the programs (train.py, eval.py, the command `codax`) set up in their process, and put back at their end.

`import codax` does none of it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

from codax.runtime.allocator import kept_memory
from codax.runtime.compilation import kept_programs, sound_fusions


@contextlib.contextmanager
def program() -> Iterator[None]:
    """Sets the process up for computing in the block; JAX should not be imported before.

    The allocator keeps memory, compiled programs are kept, and faulty fusions are left out. Behind the block
    environment, allocator and JAX's configuration are as they were.
    """
    with kept_memory(), kept_programs(), sound_fusions():
        yield


@contextlib.contextmanager
def quiet_checkpoints() -> Iterator[None]:
    """Leaves a checkpoint that cannot be written to the one line of its exception.

    Orbax reports every save at length, and a failed one with the tracebacks of its threads. Writers still at work then
    report a closed loop, one by one, and those that had not begun are reported as never awaited.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, show = [logger.level for logger in loggers], sys.unraisablehook

    def show_others(report: sys.UnraisableHookArgs) -> None:
        if not (report.exc_type is RuntimeError and str(report.exc_value) == "Event loop is closed"):
            show(report)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        sys.unraisablehook = show_others
        try:
            yield
        finally:
            sys.unraisablehook = show
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
