"""The page of a run's samples: its files by step and rate, its plots, and what it does in a browser."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import MISSING, Browser, programs
from codax.training import samples_page
from codax.training.logs import METRICS_FILE, read_metrics
from page_checks import check_page
from tiny_run import tiny_config

RATE = 8000
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
LABELS = {200: ("latent",), 256: ("6kbps", "12kbps", "1.5kbps"), 300: ("6kbps", "12kbps", "1.5kbps")}


def write_run(workdir: Path, *, step: int = 300) -> Path:
    """Writes the files of a run with two examples, and the page of `step`."""
    tone = 0.1 * np.sin(np.arange(3 * RATE) / 5)
    for at, labels in LABELS.items():
        folder = workdir / "samples" / f"step_{at:08d}"
        folder.mkdir(parents=True)
        for number in ("00", "01"):
            (folder / f"{number}.png").write_bytes(PIXEL)
            for label in ("original", *labels):
                soundfile.write(folder / f"{number}_{label}.wav", tone, RATE)
    lines = [
        {"step": at, "kind": "train", "loss/generator": 1000 / at, "loss/mel": 1.0, "learning_rate": 0.1, "other": [1]}
        for at in range(1, 1001)
    ]
    lines += [{"step": at, "kind": "validation", "snr/6kbps": 3.0, "snr/12kbps": at / 100} for at in (200, 300)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (workdir / METRICS_FILE).write_text(text + '{"step": 1001, "ki', encoding="utf-8")  # the process was killed
    config = tiny_config(train__steps=1000)
    config.name = "<b>name"
    return samples_page.write(workdir, config, step)


def test_files_by_example_step_and_rate(tmp_path: Path) -> None:
    page = write_run(tmp_path, step=256)
    (tmp_path / "samples" / "step_00000256" / ".00_6kbps.wav.x.part").touch()  # of a process that was killed
    entries = samples_page.examples(tmp_path / "samples", 256)
    assert list(entries) == ["00", "01"] and list(entries["00"]) == [256, 200]  # without the step after this one
    assert list(entries["01"][256]) == ["original", "png", "1.5kbps", "6kbps", "12kbps"]
    assert entries["01"][200]["latent"] == "step_00000200/01_latent.wav"
    (tmp_path / "samples" / "step_00000200" / "00.png").unlink()
    assert list(samples_page.examples(tmp_path / "samples", 256)["00"]) == [256]
    text = page.read_text(encoding="utf-8")
    assert "<b>" not in text and "&lt;b&gt;name" in text and 'data-finished="false"' in text


def test_plots(tmp_path: Path) -> None:
    write_run(tmp_path)
    plots = {plot.title: plot for plot in samples_page.plots(read_metrics(tmp_path))}
    assert list(plots) == ["loss generator", "loss mel", "validation SNR, dB", "learning rate"]
    generator = plots["loss generator"]
    assert generator.log and (generator.low, generator.high) == (1.0, pytest.approx((1000 + 500 + 1000 / 3) / 3))
    assert generator.steps == (2, 1000)  # means of three neighbours
    ((_, path, value),) = generator.lines
    assert (path.count("L"), value) == (333, 1.0) and path.startswith("M0.0 0.0L") and path.endswith("L300.0 100.0")
    assert [(name, value) for name, _, value in plots["validation SNR, dB"].lines] == [("6kbps", 3.0), ("12kbps", 3.0)]
    assert plots["validation SNR, dB"].lines[1][1] == "M0.0 100.0L300.0 0.0"
    assert plots["loss mel"].lines[0][1].startswith("M0.0 50.0L")
    assert list(samples_page.plots([])) == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1e999", "1" * 400, "true", "null", "[1]"])
def test_values_that_cannot_be_drawn_are_left_out(tmp_path: Path, value: str) -> None:
    lines = [
        f'{{"step": {step}, "kind": "train", "loss/mel": {number}}}' for step, number in ((1, 2), (2, value), (3, 4))
    ]
    (tmp_path / METRICS_FILE).write_text("\n".join(lines), encoding="utf-8")
    (plot,) = samples_page.plots(read_metrics(tmp_path))
    assert (plot.low, plot.high, plot.lines[0][1]) == (2, 4, "M0.0 100.0L300.0 0.0")


@pytest.mark.browser
@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_a_browser_plays_switches_and_keeps_the_choice(tmp_path: Path) -> None:
    page = write_run(tmp_path)
    with Browser(tmp_path, width=400) as browser:
        browser.open(page)
        first, second = "document.querySelectorAll('audio')[0]", "document.querySelectorAll('audio')[1]"
        card = "[data-example='00']"
        browser.click(f"{card} [aria-current]")
        browser.until(f"{first}.currentTime > 0.3 && !{first}.paused")
        before = browser.run(f"return {first}.currentTime")
        browser.click(f"{card} [href='step_00000256/00_6kbps.wav']")
        browser.until(
            f"{first}.currentSrc.endsWith('step_00000256/00_6kbps.wav') && {first}.currentTime > arguments[0]", before
        )
        assert (
            browser.run(f"return document.querySelector(\"{card} img\").getAttribute('src')") == "step_00000256/00.png"
        )
        browser.click("[data-example='01'] .source")
        browser.until(f"{first}.paused && !{second}.paused")
        browser.run("window.kept = true; refresh()")  # not while something plays
        assert browser.run("return window.kept")
        browser.click("[data-example='01'] .source")
        browser.until(f"{second}.paused")
        browser.run("refresh()")
        browser.until("window.kept === undefined && document.readyState === 'complete'")
        chosen = browser.run(
            "return Array.from(document.querySelectorAll('[aria-current]'), one => one.getAttribute('href'))"
        )
        assert chosen == ["step_00000256/00_6kbps.wav", "step_00000300/01_original.wav"]
        for width in (400, 1280):
            browser.resize(width, 900)
            check_page(browser)
