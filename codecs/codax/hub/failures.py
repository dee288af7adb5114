"""Failures of the hub as one line: the name and the reason."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from codax.errors import CodaxError, install
from codax.runtime import messages


class HubError(CodaxError):
    """A model of the hub cannot be had or written; the message begins with its name."""


@contextlib.contextmanager
def reported(name: object, *, bars: bool = False) -> Iterator[Any]:
    """Yields the module `huggingface_hub`; what it raises in the block becomes a `HubError` of one line.

    A verbose program shows the library's log, and `bars` its bars, on a terminal and unless the program is quiet.

    Raises:
      HubError: naming `name`.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(f"{name}: models of the hub need huggingface_hub: {install('hub')}") from error
    with _calm(hide=not bars or not sys.stderr.isatty() or messages.is_quiet()):
        try:
            yield huggingface_hub
        except CodaxError:
            raise
        except Exception as error:  # the library, its HTTP client and the file system raise many types
            raise HubError(f"{name}: {_reason(error)}") from error


@contextlib.contextmanager
def _calm(*, hide: bool) -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging as log

    hide = hide and not are_progress_bars_disabled()
    level = log.get_verbosity()
    if not messages.is_verbose():
        log.set_verbosity(log.CRITICAL)
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if hide:
            enable_progress_bars()


def _reason(error: BaseException) -> str:
    """The reason of a failure, from the error that caused it."""
    from huggingface_hub import constants, errors

    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for one in chain:
        if isinstance(one, errors.OfflineModeIsEnabled):
            return "not all of it is in the cache, and HF_HUB_OFFLINE forbids requests"
        if isinstance(one, errors.GatedRepoError):
            return "access is granted on its page only, and needs a token (HF_TOKEN, or `hf auth login`)"
        if isinstance(one, errors.RevisionNotFoundError):
            return "the repository has no such revision"
        if isinstance(one, errors.RepositoryNotFoundError):
            return (
                f"no such repository on {constants.ENDPOINT}, or a private one, which needs a token (HF_TOKEN, or "
                "`hf auth login`)"
            )
        if isinstance(one, errors.HfHubHTTPError):
            text = " ".join((one.server_message or one.response.reason_phrase).split())[:300]
            return f"{constants.ENDPOINT} refuses ({one.response.status_code}: {text})"
        if any(kind.__name__ == "TransportError" for kind in type(one).__mro__):  # of the HTTP client
            return f"no connection to {constants.ENDPOINT} ({_line(one)})"
        if isinstance(one, OSError) and one.strerror:
            return f"{one.filename}: {one.strerror}" if one.filename else one.strerror
    return _line(error) + (f" ({_line(chain[-1])})" if len(chain) > 1 else "")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
