"""Typed dataclasses from plain values, as JSON has them: every name and type is checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing

from codax.errors import ConfigError


def build(cls: type, values: object, prefix: str) -> typing.Any:
    """Builds dataclass `cls` from a dict; `prefix` leads to it, for messages.

    Raises:
      ConfigError: naming a field that is unknown or ill-typed.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"config field {prefix or '(root)'}: expected an object, got {type(values).__name__}")
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(str(k) for k in values if k not in names)
    if unknown:
        raise ConfigError(f"unknown config field {prefix}{unknown[0]}")
    built = {name: _convert(hints[name], value, f"{prefix}{name}") for name, value in values.items()}
    return cls(**built)


def _convert(hint: typing.Any, value: object, name: str) -> object:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, f"{name}.")
    if typing.get_origin(hint) is tuple:
        args = typing.get_args(hint)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"config field {name}: expected a list, got {value!r}")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(args[0], v, name) for v in value)
        if len(args) != len(value):
            raise ConfigError(f"config field {name}: expected {len(args)} values, got {value!r}")
        return tuple(_convert(a, v, name) for a, v in zip(args, value, strict=True))
    if isinstance(hint, types.UnionType):
        raise ConfigError(f"config field {name}: union types are not supported")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"config field {name}: expected {hint.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"config field {name}: must be finite, got {value!r}")
    return value
