"""Folders of excerpts, and a test made of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from codax.listening.build import Plan, build
from codax.listening.material import Rules
from excerpts import RATE, excerpt, systems_of


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """ref/, secretone/ and secrettwo/ with five items."""
    folder = tmp_path / "material"
    for item in range(5):
        clean = excerpt(item)
        for system, noise in (("ref", 0.0), ("secretone", 0.001), ("secrettwo", 0.004)):
            (folder / system).mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(item)
            soundfile.write(folder / system / f"item{item}.wav", clean + noise * rng.standard_normal(len(clean)), RATE)
    return folder


@pytest.fixture
def built(material: Path, tmp_path: Path) -> Path:
    """A MUSHRA test of two systems and five items."""
    out = tmp_path / "test"
    build(material / "ref", systems_of(material), out, Plan(seed=3, listeners=8), Rules())
    return out
