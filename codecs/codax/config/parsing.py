"""Builds typed dataclasses from plain values, as in JSON; checks every name and type."""

import dataclasses
import typing

from codax.config.section import Tagged, unknown_field
from codax.errors import ConfigError, shown

_LARGEST = 10**18  # of a number; what codax computes from it is then far below the largest float
_LONGEST = 4096  # values of a list


def build(cls: type, values: object, prefix: str) -> typing.Any:
    """Builds dataclass `cls` from a dict; missing fields get their defaults. `prefix` is its path, for messages.

    Raises:
      ConfigError: naming an unknown or ill-typed field.
    """
    if not isinstance(values, dict):
        raise ConfigError(
            f"config field {prefix.removesuffix('.') or '(root)'}: expected an object, got {shown(values)}"
        )
    if issubclass(cls, Tagged) and (cls.tag in values or not getattr(cls, cls.tag)):
        cls = cls.named(values.get(cls.tag))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints, built = typing.get_type_hints(cls), {}
    for name, value in values.items():
        if name not in fields:
            raise unknown_field(cls, str(name), prefix)
        converted = _convert(hints[name], value, f"{prefix}{name}")
        if fields[name].init:
            built[name] = converted
        elif converted != fields[name].default:
            raise ConfigError(f"config field {prefix}{name} = {shown(value)}: must be {fields[name].default!r}")
    return cls(**built)


def _convert(hint: typing.Any, value: object, name: str) -> object:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, f"{name}.")
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"config field {name}: expected a list, got {shown(value)}")
        if len(value) > _LONGEST:
            raise ConfigError(f"config field {name}: expected at most {_LONGEST} values, got {len(value)}")
        args = typing.get_args(hint)
        args = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(args) != len(value):
            raise ConfigError(f"config field {name}: expected {len(args)} values, got {shown(value)}")
        return tuple(_convert(arg, one, name) for arg, one in zip(args, value, strict=True))
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"config field {name}: expected an object, got {shown(value)}")
        element = typing.get_args(hint)[1]
        return {str(key): _convert(element, one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
        raise ConfigError(f"config field {name}: must be finite and of at most 18 digits, got {shown(value)}")
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ConfigError(f"config field {name}: expected {hint.__name__}, got {shown(value)}")
    return value
