"""What a field must satisfy, said once: small helpers for the checks of sections."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Check(NamedTuple):
    """Whether a field is right.

    Attributes:
      ok: it is.
      field: its name in its section; from `Config.checks`, its whole name.
      wanted: what it must be, for the message.
    """

    ok: bool
    field: str
    wanted: str


def one_of(section: Any, field: str, *allowed: str) -> Check:
    *most, last = allowed
    return Check(getattr(section, field) in allowed, field, f"{', '.join(most)} or {last}")


def at_least(section: Any, least: int, *fields: str) -> list[Check]:
    wanted = f"at least {least}" if least else "0 or more"
    return [Check(getattr(section, field) >= least, field, wanted) for field in fields]


def share(section: Any, *fields: str) -> list[Check]:
    """From 0 to 1, both included."""
    return [Check(0 <= getattr(section, field) <= 1, field, "0 to 1") for field in fields]


def below_one(section: Any, *fields: str) -> list[Check]:
    return [Check(0 <= getattr(section, field) < 1, field, "0 or more and below 1") for field in fields]


def ordered(section: Any, *fields: str) -> list[Check]:
    """Pairs (low, high)."""
    return [Check(getattr(section, field)[0] <= getattr(section, field)[1], field, "(low, high)") for field in fields]


def none_or_as_many(section: Any, field: str, other: str, values: Sequence[object]) -> Check:
    return Check(len(getattr(section, field)) in (0, len(values)), field, f"empty or one for each of {other}")
