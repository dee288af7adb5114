"""Changed files of every format are read or refused; `tests/fuzz.py` runs as many as wanted."""

from __future__ import annotations

import fuzz
import pytest
from mutations import COUNT


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_changed_files_break_no_rule(name: str) -> None:
    ends, broken = fuzz.run(name, COUNT // 10, seed=0)
    assert not broken
    assert ends["refused"] > 0
