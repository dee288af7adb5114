"""The cells of examples/tour.ipynb run, with few steps on recordings of this test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pages
import pytest
from codax import audio
from signals import syllables

NOTEBOOK = pages.ROOT / "examples" / "tour.ipynb"
# What Jupyter's kernel has: a player of audio, which counts here, and pictures that need no screen.
KERNEL = """
import sys, types
import matplotlib
matplotlib.use("Agg")
shown = []
display_module = types.ModuleType("IPython.display")
display_module.Audio = lambda samples, rate: (len(samples), rate)
display_module.display = shown.append
sys.modules[display_module.__name__] = display_module
"""


def cells(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_has_no_outputs_and_its_links_lead_somewhere() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in notebook["cells"])
    for text in cells("markdown"):
        for link in pages.links(text):
            assert (NOTEBOOK.parent / link).exists(), link


@pytest.mark.nightly
def test_every_cell_runs(tmp_path: Path) -> None:
    pytest.importorskip("visqol", reason="visqol-python has the mapping models")
    (tmp_path / "recordings").mkdir()
    for number in range(12):
        speech = syllables(2.0 + number % 2, seed=number)[:, None].astype(np.float32)
        audio.write(tmp_path / "recordings" / f"{number}.wav", speech, 16_000)
    first, *others = cells("code")
    settings = first.replace('"starter:en"', '"recordings"').replace("STEPS = 100", "STEPS = 2")
    assert settings != first
    script = "\n".join([KERNEL, settings, *others, "print(len(shown), 'sounds')"])
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "6 sounds" in run.stdout and "after: ViSQOL" in run.stdout
