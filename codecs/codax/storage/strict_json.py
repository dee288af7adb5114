"""The reader of all JSON that codax did not write itself, such as configs, manifests and results of listeners.

It accepts less than `json`: text, depth and digits have limits, numbers are finite, keys are unique, and strings are
valid Unicode. So values can be converted, compared, printed and written again without further checks.
"""

from __future__ import annotations

import collections
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from codax.errors import CodaxError

MAX_BYTES = 1 << 24
MAX_DEPTH = 64
MAX_DIGITS = 100  # of a number; as a float it is then far below the largest one
_OPENING = re.compile(r'"(?:[^"\\]|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)  # possessive: linear time for any text
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JSONError(CodaxError):
    """The text is not JSON that codax reads; the message has the reason only."""


def parse(data: bytes | str, *, most: int = MAX_BYTES, surrogates: bool = False) -> Any:
    """Parses JSON.

    Args:
      data: the text, or its bytes in UTF-8.
      most: maximum length.
      surrogates: accept lone surrogates, which cannot be printed or written.

    Raises:
      JSONError: not JSON, or beyond the limits; the message does not name the file.
    """
    if len(data) > most:
        raise JSONError(f"longer than {most} bytes")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        _check_depth(text)
        value = _DECODER.decode(text)
        if not surrogates and _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise JSONError("not text in UTF-8") from error
    except UnicodeEncodeError as error:
        raise JSONError("a text has a lone surrogate, half of a character") from error
    except _NumberError as error:
        raise JSONError(_key_before(error.token, text) + str(error)) from error
    except (ValueError, RecursionError) as error:
        raise JSONError(str(error)) from error
    return value


class _NumberError(ValueError):
    def __init__(self, token: str, reason: str) -> None:
        super().__init__(reason)
        self.token = token


def _key_before(token: str, text: str) -> str:
    """The key of a number, for the message: the last one before its first occurrence; "" for a number without one."""
    keys = re.findall(r'"([^"\\]{1,60})"\s*:', text[: text.find(token)])
    return f"{keys[-1]!r}: " if keys else ""


def read(path: str | os.PathLike[str], what: str, error: type[CodaxError] = CodaxError) -> Any:
    """Reads a JSON file.

    Args:
      path: the file.
      what: its kind, for the message "PATH: not a readable WHAT (reason)".
      error: exception class to raise.
    """
    try:
        return parse(_content(Path(path)))
    except OSError as failure:
        raise error(f"{path}: not a readable {what} ({failure.strerror or failure})") from failure
    except (JSONError, ValueError) as failure:  # ValueError: a name that no file can have
        raise error(f"{path}: not a readable {what} ({failure})") from failure


def read_object(path: str | os.PathLike[str], what: str, error: type[CodaxError] = CodaxError) -> dict[str, Any]:
    """As `read`, for a file that must hold an object."""
    value = read(path, what, error)
    if not isinstance(value, dict):
        raise error(f"{path}: not a readable {what} (expected an object, got a {type(value).__name__})")
    return value


def whole(value: object, least: int = 0, most: int = 2**40) -> int:
    """Converts a number, or its text, to an integer. Raises ValueError unless it is whole and in the range."""
    if isinstance(value, str) and len(value) <= MAX_DIGITS:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"must be {least} to {most}")
    if value != int(value):
        raise ValueError("must be whole")
    return int(value)


def _content(path: Path) -> bytes:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise JSONError("not a regular file")
    if about.st_size > MAX_BYTES:
        raise JSONError(f"longer than {MAX_BYTES} bytes")
    return path.read_bytes()


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _OPENING.finditer(text):
        depth += (match[1] is not None) - (match[2] is not None)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        (key, _), *_ = collections.Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key[:40]!r} occurs twice")
    return made


def _integer(text: str) -> int:
    return int(_short(text))


def _float(text: str) -> float:
    value = float(_short(text))
    if not math.isfinite(value):
        raise _NumberError(text, f"the number {text} is too large")
    return value


def _short(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise _NumberError(text, f"a number of more than {MAX_DIGITS} characters")
    return text


def _constant(name: str) -> NoReturn:
    raise _NumberError(name, f"{name} is not a number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
