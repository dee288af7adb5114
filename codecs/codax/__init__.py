"""codax: neural audio codecs in JAX.

codec = codax.load("soundstream-speech")
tokens = codec.encode(audio, sample_rate=44_100, kbps=6)   # audio [time], [time, channels] or [batch, time, channels]
codax.encode_file("in.wav", "out.codax")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codax import tokens
    from codax.codec.codec import Codec
    from codax.codec.tokens import Tokens
    from codax.config import Config
    from codax.containers.whole_files import decode_file, encode_file
    from codax.interop.models import load

__version__ = "0.1.0"
__all__ = ["Codec", "Config", "Tokens", "decode_file", "encode_file", "load", "tokens"]

_HOMES = {
    "Codec": "codax.codec.codec",
    "Config": "codax.config",
    "Tokens": "codax.codec.tokens",
    "decode_file": "codax.containers.whole_files",
    "encode_file": "codax.containers.whole_files",
    "load": "codax.interop.models",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import codax` and the commands that need no network do without JAX.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "tokens":
        return importlib.import_module("codax.tokens")
    raise AttributeError(f"module 'codax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
