"""Samples for listening: early in a run, and without an effect on it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from codax.training import samples
from tiny_run import end_of, tiny_config, train_here, write_corpus


def test_they_are_early_and_become_rarer() -> None:
    assert [step for step in range(5000) if samples.is_early(step)] == [200, 256, 512, 1024, 2048, 4096]


def test_early_ones_stay_and_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "FIRST_STEP", 3)
    source = str(write_corpus(tmp_path / "corpus"))
    ends = []
    for name, files in (("with", 1), ("without", 0)):
        config = tiny_config(
            source,
            quantizer__start_step=0,
            discriminator__start_step=100,
            train__steps=5,
            train__eval_every=5,
            train__eval_batches=0,
            train__sample_files=files,
            train__checkpoints_kept=1,
        )
        train_here(config, tmp_path / name)
        ends.append(end_of(config, tmp_path / name))
    folder = tmp_path / "with" / "samples"
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.html",
        "step_00000003",
        "step_00000004",
        "step_00000005",
    ]
    page = (folder / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:href|src|data-picture)="((?!data:)[^"]*)"', page)
    assert "step_00000003/00_16kbps.wav" in links and all((folder / link).is_file() for link in links)
    assert 'data-finished="true"' in page and "loss waveform" in page
    assert not (tmp_path / "without" / "samples").exists()
    assert ends[0].keys() == ends[1].keys()
    for array, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][array], err_msg=array)
