"""What the sections of a configuration share: a field that does not exist cannot be set, one that does nothing is told.

A section is a dataclass on `Section`, with the checks of its fields beside them. One that comes in several classes, as
the model in its families, is `Tagged`: a constant field names the class. Annotations are real types, not text, here and
in the sections: flags and parsing read them.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar, Self, TypeVar

from codax.config.checks import Check
from codax.errors import ConfigError

T = TypeVar("T")


def constant(value: Any) -> Any:
    """A field with one value, which files show."""
    return dataclasses.field(default=value, init=False)


def option(default: Any, used: Callable[[Any], object], needs: str) -> Any:
    """A field that does something only where `used(section)` is true; `needs` says what makes it so.

    That is for what a mode switches. Where a weight of 0 or a missing source turns a part off, its options stay as they
    are: one override turns it off and on.
    """
    return dataclasses.field(default=default, metadata={"used": used, "needs": needs})


def nearest(name: str, names: Collection[str]) -> str:
    """For the end of a message: the name that was meant, if one is near."""
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""


class Section:
    """A part of a configuration; subclasses are dataclasses.

    Attributes:
      path: where it is in a `Config`, as in "data.mixture"; "" is the config itself.
    """

    path: ClassVar[str] = ""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def place(cls, name: str) -> str:
        """A field's whole name, as in "data.mixture.sources"."""
        return f"{cls.path}.{name}" if cls.path else name

    @classmethod
    def field_names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    def checks(self) -> list[Check]:
        """What the fields must satisfy, in the order in which it is reported."""
        return []

    def sections(self) -> "Iterator[Section]":
        """This section and those in it."""
        yield self
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Section):
                yield from value.sections()

    def idle(self) -> Iterator[dataclasses.Field]:
        """Fields that were set and do nothing, without those of sections within."""
        for field in dataclasses.fields(self):
            used = field.metadata.get("used")
            if used is not None and not used(self) and getattr(self, field.name) != field.default:
                yield field

    def __setattr__(self, name: str, value: object) -> None:
        """Raises ConfigError for a field that does not exist, or is a constant."""
        field = next((f for f in dataclasses.fields(self) if f.name == name), None)
        if field is None:
            raise unknown_field(type(self), name)
        if not field.init and value != field.default:
            fixed = f"is {field.default!r} in {type(self).__name__}"
            raise ConfigError(f"config field {self.place(name)} = {value!r}: {fixed}; give a section of another class")
        super().__setattr__(name, value)


class Tagged(Section):
    """A section of several classes.

    Attributes:
      tag: the constant field whose value names the class.
      classes: every class by that name.
    """

    tag: ClassVar[str]
    classes: ClassVar[dict[str, type[Self]]]

    @classmethod
    def register(cls, made: type[T]) -> type[T]:
        """Adds a class, which may be defined anywhere: config files and the command line then know its name."""
        cls.classes[getattr(made, cls.tag)] = typing.cast(Any, made)
        return made

    @classmethod
    def named(cls, name: object) -> type[Self]:
        """The class of a name. Raises ConfigError."""
        if not isinstance(name, str) or name not in cls.classes:
            *most, last = cls.classes
            near = nearest(str(name), cls.classes)
            raise ConfigError(
                f"config field {cls.place(cls.tag)} = {name!r}: must be {', '.join(most)} or {last}{near}"
            )
        return cls.classes[name]

    def of_class(self, name: str) -> Self:
        """This section as one of the class of that name: fields that both have keep their values.

        Raises:
          ConfigError: there is no such class.
        """
        made = self.named(name)
        return self if type(self) is made else typing.cast(Self, _carried(self, made()))


def _carried(old: Section, new: Section) -> Section:
    """`new` with the values of `old` in the fields that both have."""
    names = old.field_names()
    for field in dataclasses.fields(new):
        if field.init and field.name in names:
            value, ours = getattr(old, field.name), getattr(new, field.name)
            setattr(new, field.name, _carried(value, ours) if isinstance(ours, Section) else value)
    return new


def unknown_field(cls: type, name: str, prefix: str | None = None) -> ConfigError:
    """The error for a field that `cls` has not; `prefix` leads to it, where `cls` is no section."""
    names = [field.name for field in dataclasses.fields(cls)]
    if prefix is None:
        prefix = cls.place("")
    of = ""
    if issubclass(cls, Tagged) and getattr(cls, cls.tag, ""):
        others = [key for key, other in cls.classes.items() if name in other.field_names()]
        of = f" of {cls.tag} {getattr(cls, cls.tag)}" + (f" ({', '.join(others)} only)" if others else "")
    return ConfigError(f"unknown config field {prefix}{name}{of}{nearest(name, names)}")
