"""Folders of excerpts, a test made of them, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from codax.listening.build import Plan, build
from codax.listening.material import Rules
from excerpts import systems_of, write_material


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """ref/, secretone/ and secrettwo/ with five items."""
    return write_material(tmp_path / "material")


@pytest.fixture
def built(material: Path, tmp_path: Path) -> Path:
    """A MUSHRA test of two systems and five items."""
    out = tmp_path / "test"
    build(material / "ref", systems_of(material), out, Plan(seed=3, listeners=8), Rules())
    return out


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser whose profile and downloads are in a folder of their own."""
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(folder) as running:
        yield running
