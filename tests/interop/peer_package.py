"""The `encodec` package without torchaudio, which it imports for its discriminator alone."""

from __future__ import annotations

import sys
import types

import pytest


def import_encodec(patch: pytest.MonkeyPatch):
    """The package, for as long as `patch` lasts; skips the test where it is not installed."""
    for name in ("torchaudio", "torchaudio.transforms"):
        patch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torchaudio"].transforms = sys.modules["torchaudio.transforms"]
    sys.modules["torchaudio.transforms"].Spectrogram = object
    return pytest.importorskip("encodec")
