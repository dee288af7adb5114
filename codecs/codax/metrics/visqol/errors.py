"""What can go wrong with the input of ViSQOL."""

from __future__ import annotations

from typing import Literal

from codax.errors import CodaxError


class VisqolError(CodaxError, ValueError):
    """Signals, options or model files that ViSQOL cannot score.

    Attributes:
        role: which signal is at fault, None if neither.
    """

    def __init__(self, message: str, role: Literal["reference", "degraded"] | None = None):
        super().__init__(message)
        self.role = role
