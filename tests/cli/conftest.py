"""The command line in this process."""

from __future__ import annotations

import math

import pytest
from codax.runtime import progress
from command import Run, run  # noqa: F401 (a fixture)


@pytest.fixture
def run_here(
    run,  # noqa: F811
    monkeypatch,
    tmp_path,
) -> Run:
    """`run` in a folder of its own, with a cache of its own, and without progress, which depends on the time."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", math.inf)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    return run
