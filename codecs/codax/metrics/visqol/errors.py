"""The error of invalid ViSQOL input."""

from __future__ import annotations

from typing import Literal

from codax.errors import CodaxError


class VisqolError(CodaxError, ValueError):
    """Signals, options or model files cannot be scored.

    Attributes:
        role: the signal that caused it, None if neither.
    """

    def __init__(self, message: str, role: Literal["reference", "degraded"] | None = None):
        super().__init__(message)
        self.role = role
