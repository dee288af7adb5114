"""Helpers for the checks of sections."""

from collections.abc import Sequence
from typing import Any, NamedTuple

RATES = (1_000, 768_000)  # Hz, the sample rates of audio that codax reads; a model may have a lower one
MOST_CHANNELS = 255  # of audio


class Check(NamedTuple):
    """Result of checking a field.

    Attributes:
      ok: whether its value is valid.
      field: its name in its section; its full name in `Config.checks`.
      expected: the requirement, for the message "must be EXPECTED".
    """

    ok: bool
    field: str
    expected: str


def one_of(section: Any, field: str, *allowed: str) -> Check:
    *most, last = allowed
    return Check(getattr(section, field) in allowed, field, f"{', '.join(most)} or {last}")


def at_least(section: Any, least: int, *fields: str) -> list[Check]:
    expected = f"{least} or more"
    return [Check(getattr(section, field) >= least, field, expected) for field in fields]


def share(section: Any, *fields: str) -> list[Check]:
    """Requires values from 0 to 1, both included."""
    return [Check(0 <= getattr(section, field) <= 1, field, "0 to 1") for field in fields]


def below_one(section: Any, *fields: str) -> list[Check]:
    return [Check(0 <= getattr(section, field) < 1, field, "0 or more and below 1") for field in fields]


def ordered(section: Any, *fields: str) -> list[Check]:
    """Requires pairs (low, high)."""
    return [Check(getattr(section, field)[0] <= getattr(section, field)[1], field, "(low, high)") for field in fields]


def none_or_as_many(section: Any, field: str, other: str, values: Sequence[object]) -> Check:
    return Check(len(getattr(section, field)) in (0, len(values)), field, f"empty or one for each of {other}")
