"""The script that runs README.md and the tutorials: what it would run."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import newcomer
import numpy as np
import pages
import pytest


def test_every_page_is_in_it() -> None:
    tutorials = {f"docs/tutorials/{path.name}" for path in (pages.ROOT / "docs" / "tutorials").glob("*.md")}
    assert {*newcomer.ORDER} == {"README.md", "docs/index.md", *tutorials}


@pytest.mark.parametrize("page", newcomer.ORDER)
@pytest.mark.parametrize("quick", [False, True])
def test_scripts_are_bash_with_the_commands_as_written(page: str, quick: bool) -> None:
    script = newcomer.program(pages.ROOT / page, quick=quick)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    texts = [b.text for b in pages.blocks(pages.ROOT / page) if b.mark != "not run" and b.language in ("", "python")]
    if not quick:
        assert texts and all(text in script for text in texts)
    for line in script.replace("\\\n", " ").splitlines():
        if quick and line.startswith("codax train"):
            assert line.count("--config.train.steps=") == 1, line
            assert ("steps=310" in line) == ("quickstart" in line or "mine.py" in line), line
        if quick and line.startswith("codax eval "):
            assert line.count("--limit=") == 1, line


def test_a_page_that_fails_ends_the_script(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\necho one\nfalse\necho two\n```\n\n<!-- not run: a reason -->\n```\necho three\n```\n")
    done = subprocess.run(
        ["bash", "-c", newcomer.program(page, quick=False)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "one\n")


def test_the_home_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_RETRIES", "3")
    monkeypatch.setenv("CODAX_CACHE", "/elsewhere")
    environment = newcomer.environment(tmp_path)
    assert environment["HOME"] == str(tmp_path) and environment["PIP_RETRIES"] == "3"
    assert "CODAX_CACHE" not in environment and "PYTHONPATH" not in environment


def test_recordings_have_sound(tmp_path: Path) -> None:
    newcomer.write_recording(tmp_path / "a" / "1.wav", 1.0, 3)
    with wave.open(str(tmp_path / "a" / "1.wav")) as file:
        assert file.getframerate() == newcomer.RATE
        samples = np.frombuffer(file.readframes(newcomer.RATE), "<i2")
    assert 2_000 < np.abs(samples).max() < 32_000 and samples.std() > 300
