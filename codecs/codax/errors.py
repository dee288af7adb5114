"""The one exception that means "your input is wrong", caught at the top of every command and shown as one line."""

import reprlib
import shlex
from pathlib import Path
from typing import Literal

Extra = Literal["beam", "bpe", "content", "hub", "metrics", "onnx", "parquet", "plan", "teachers", "wer"]

_LONGEST = 200  # characters of a value in a message
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxlong, _short.maxother = 4, _LONGEST, 60, _LONGEST
_short.maxlist = _short.maxtuple = _short.maxdict = 20


def shown(value: object) -> str:
    """Returns `repr(value)` for a message, shortened if it is long."""
    text = _short.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def install(extra: Extra) -> str:
    """Returns the command that installs an extra of codax.

    In a checkout it names the checkout, since pip would look for codax in its index if it is not installed.
    """
    sources, root = Path(__file__).parents[1:3]
    if sources.name == "codecs" and (root / "pyproject.toml").is_file():  # not a folder of packages in another project
        return f"pip install -e {shlex.quote(f'{root}[{extra}]')}"
    return f"pip install 'codax[{extra}]'"


class CodaxError(Exception):
    """Bad input or environment. The message names the file or field and the reason; it is meant for the user.

    Characters of names in the input that would break the line, or that no terminal shows, are escaped.
    """

    def __init__(self, message: object) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(message)))


class ConfigError(CodaxError):
    """A configuration that cannot be built or trained; the message names the field."""
