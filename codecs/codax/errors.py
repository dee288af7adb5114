"""The one exception that means "your input is wrong", caught at the top of every command and shown as one line."""

import reprlib

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxlong, _short.maxother = 4, 120, 60, 120
_short.maxlist = _short.maxtuple = _short.maxdict = 20


def shown(value: object) -> str:
    """Returns `repr(value)` for a message, shortened if it is long."""
    return _short.repr(value)


class CodaxError(Exception):
    """Bad input or environment. The message names the file or field and the reason; it is meant for the user."""


class ConfigError(CodaxError):
    """A configuration that cannot be built or trained; the message names the field."""
