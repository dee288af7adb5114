"""Samples for listening: early in a run, and without an effect on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codax import audio
from codax.config import Config
from codax.training import evaluator, samples, validation
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


def short_run(folder: Path) -> Config:
    """A recipe of five steps without discriminators and scores, with codes from the first."""
    source = str(write_corpus(folder / "corpus"))
    starts = {"quantizer__start_step": 0, "discriminator__start_step": 100}
    return tiny_config(source, **starts, train__steps=5, train__eval_every=5, train__eval_batches=0)


def test_samples_that_cannot_be_written_stop_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = short_run(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples").write_text("a file where the folder would be")
    train_here(config, tmp_path / "run")
    shown = capsys.readouterr()
    (warning,) = [line for line in shown.err.splitlines() if line.startswith("warning: ")]
    assert "samples cannot be written (Not a directory)" in warning and "finished 5 steps" in shown.out
    assert (tmp_path / "run" / "export" / "config.json").exists()


def test_audio_that_is_not_finite_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Diverging(validation.Reconstructor):
        def __call__(self, *arguments: Any, **options: Any) -> Iterator[Any]:
            for sound, metrics in super().__call__(*arguments, **options):
                damaged = np.array(sound)
                damaged[:, :2] = [[np.nan], [np.inf]]
                yield damaged, metrics

    monkeypatch.setattr(evaluator, "Reconstructor", Diverging)
    train_here(short_run(tmp_path), tmp_path / "run")
    sound, _ = audio.read(tmp_path / "run" / "samples" / "step_00000005" / "00_16kbps.wav")
    assert tuple(sound[:2, 0]) == (0.0, 1 - 2**-15)


def test_folders_of_others_stay(tmp_path: Path) -> None:
    config = tiny_config(str(write_corpus(tmp_path / "voices")))
    config.train.checkpoints_kept = 1
    names = ["step_notes", "step_0_notes", "step_00000150", "step_00000250", "step_00000256"]
    for name in names:
        (tmp_path / "samples" / name).mkdir(parents=True)
    samples.Samples(config, tmp_path, lambda *_: {})._remove_old()
    left = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert left == ["step_00000250", "step_00000256", "step_0_notes", "step_notes"]
