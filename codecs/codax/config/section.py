"""The base classes of sections: unknown fields cannot be set, and fields without effect are reported.

A section is a dataclass derived from `Section` that defines fields and their checks. A section with several classes,
such as the model with its families, is `Tagged`: a constant field names the class. Annotations are real types, not
text, here and in the sections, because flags and parsing read them.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar, Self, TypeVar

from codax.config.checks import Check
from codax.errors import ConfigError, shown

T = TypeVar("T")


def constant(value: Any) -> Any:
    """Returns a field with one value, which config files include."""
    return dataclasses.field(default=value, init=False)


def option(default: Any, used: Callable[[Any], object], needs: str) -> Any:
    """Returns a field that has an effect only if `used(section)` is true; `needs` names the condition.

    This is for options of a mode. Options of a part that a weight of 0 or a missing source disables are plain fields,
    so that one override disables and enables the part.
    """
    return dataclasses.field(default=default, metadata={"used": used, "needs": needs})


def nearest(name: str, names: Collection[str]) -> str:
    """Returns a suggestion for the end of a message: the closest name, if one is close."""
    if len(name) > 100:
        return ""
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""


class Section:
    """A part of a configuration; subclasses are dataclasses.

    Attributes:
      path: its place in a `Config`, such as "data.mixture"; "" for the config itself.
    """

    path: ClassVar[str] = ""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def place(cls, name: str) -> str:
        """Returns a field's full name, such as "data.mixture.sources"."""
        return f"{cls.path}.{name}" if cls.path else name

    @classmethod
    def field_names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    def checks(self) -> list[Check]:
        """Returns the checks of the fields, in the order of reporting."""
        return []

    def sections(self) -> "Iterator[Section]":
        """Yields this section and all sections in it."""
        yield self
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Section):
                yield from value.sections()

    def idle(self) -> Iterator[dataclasses.Field]:
        """Yields this section's own fields that were set without effect."""
        for field in dataclasses.fields(self):
            used = field.metadata.get("used")
            if used is not None and not used(self) and getattr(self, field.name) != field.default:
                yield field

    def __setattr__(self, name: str, value: object) -> None:
        """Raises ConfigError if the field does not exist, or is a constant with another value."""
        field = next((f for f in dataclasses.fields(self) if f.name == name), None)
        if field is None:
            raise unknown_field(type(self), name)
        if not field.init and value != field.default:
            fixed = f"is {field.default!r} in {type(self).__name__}"
            raise ConfigError(
                f"config field {self.place(name)} = {shown(value)}: {fixed}; give a section of another class"
            )
        super().__setattr__(name, value)


class Tagged(Section):
    """A section with several classes.

    Attributes:
      tag: the constant field whose value names the class.
      classes: all classes by name.
    """

    tag: ClassVar[str]
    classes: ClassVar[dict[str, type[Self]]]

    @classmethod
    def register(cls, made: type[T]) -> type[T]:
        """Adds a class by its name, for config files and the command line; it may be defined anywhere."""
        cls.classes[getattr(made, cls.tag)] = typing.cast(Any, made)
        return made

    @classmethod
    def named(cls, name: object) -> type[Self]:
        """Returns the class of this name. Raises ConfigError if there is none."""
        if not isinstance(name, str) or name not in cls.classes:
            *most, last = cls.classes
            near = nearest(str(name), cls.classes)
            raise ConfigError(
                f"config field {cls.place(cls.tag)} = {shown(name)}: must be {', '.join(most)} or {last}{near}"
            )
        return cls.classes[name]

    def of_class(self, name: str) -> Self:
        """Converts this section to the class of this name; common fields keep their values.

        Raises:
          ConfigError: there is no such class.
        """
        made = self.named(name)
        return self if type(self) is made else typing.cast(Self, _carried(self, made()))


def _carried(old: Section, new: Section) -> Section:
    """Copies the values of common fields from `old` to `new`; returns `new`."""
    names = old.field_names()
    for field in dataclasses.fields(new):
        if field.init and field.name in names:
            value, ours = getattr(old, field.name), getattr(new, field.name)
            setattr(new, field.name, _carried(value, ours) if isinstance(ours, Section) else value)
    return new


def unknown_field(cls: type, name: str, prefix: str | None = None) -> ConfigError:
    """Returns the error for an unknown field of `cls`; `prefix` is the path if `cls` is not a section."""
    names = [field.name for field in dataclasses.fields(cls)]
    if prefix is None:
        prefix = cls.place("")
    suffix = ""
    if issubclass(cls, Tagged) and getattr(cls, cls.tag, ""):
        others = [key for key, other in cls.classes.items() if name in other.field_names()]
        suffix = f" of {cls.tag} {getattr(cls, cls.tag)}" + (f" ({', '.join(others)} only)" if others else "")
    return ConfigError(f"unknown config field {prefix}{name:.100}{suffix}{nearest(name, names)}")
