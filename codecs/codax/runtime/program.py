"""Process settings of the programs (train.py, eval.py, the command `codax`), which they restore at their end.

`import codax` changes none of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from codax.errors import CodaxError
from codax.runtime import messages
from codax.runtime.allocator import kept_memory
from codax.runtime.compilation import kept_programs, sound_fusions


@contextlib.contextmanager
def program() -> Iterator[None]:
    """Configures the process for computing within the block; JAX should not be imported before.

    The allocator keeps memory, compiled programs are cached, buggy fusions are disabled, and warnings of the package
    appear once. After the block the environment, the allocator, JAX's configuration and logging are restored.
    """
    with kept_memory(), kept_programs(), sound_fusions(), messages.logged_to(messages.warn, messages.detail):
        yield


@contextlib.contextmanager
def named_devices() -> Iterator[None]:
    """Reports devices that JAX cannot open, such as those of JAX_PLATFORMS, in one line.

    Raises:
      CodaxError: the block failed, and JAX has no devices.
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if reason := _missing_devices():
            raise CodaxError(reason) from error
        raise


def _missing_devices() -> str:
    """Why JAX has no devices; "" if it has some or has not been imported."""
    if "jax" not in sys.modules:
        return ""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform without a plugin does not occur
        cause = str(error).partition(" (set JAX_PLATFORMS")[0]
        platforms = os.environ.get("JAX_PLATFORMS", "")
        return f"JAX_PLATFORMS={platforms}: this machine has no such device" + (f" ({cause})" if cause else "")
    return ""


@contextlib.contextmanager
def quiet_checkpoints() -> Iterator[None]:
    """Silences Orbax, so that only the exception reports a checkpoint that cannot be written.

    Orbax logs every save at length, and a failed one with the tracebacks of its threads. Then every running writer
    reports a closed event loop, and Python reports the pending ones as never awaited.
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
