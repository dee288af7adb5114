"""Read-outs of codes: what they can read, that they are exact to repeat, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small_models
from codax import audio
from codax.codec.codec import Codec
from codax.evaluation.probes import probe, tasks
from codax.evaluation.probes.readout import Problem, Settings, cross_validated
from codax.evaluation.statistics import wilson_interval
from command import run  # noqa: F401

QUICK = Settings(width=8, hidden=8, updates=60, batch=16, learning_rate=0.05)
RATE = 8_000
WORDS = ("low", "middle", "high")


def problem(kind: str, shuffled: bool = False) -> Problem:
    """Sixty clips whose second level has codes of one of two kinds, and a first level without information."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 30) if kind == "clips" else rng.integers(0, 2, (60, 12))
    spread = truth[:, None] if kind == "clips" else truth
    codes = rng.integers(0, 8, (60, 12, 2))
    codes[..., 1] = np.where(spread == 1, 4, 0) + rng.integers(0, 4, (60, 12))
    mask = np.arange(12) < rng.integers(6, 13, 60)[:, None]
    codes[~mask] = -1
    labels = rng.permutation(truth) if shuffled else truth
    labels = np.where(mask, labels, -1) if kind == "frames" else labels
    return Problem(codes.astype(np.int32), mask, labels.astype(np.int32), np.arange(60) % 5, 2, (8, 8))


@pytest.mark.parametrize("kind", ["clips", "frames"])
def test_it_reads_what_is_there_and_no_more(kind: str) -> None:
    data = problem(kind)
    predictions = cross_validated(data, QUICK)
    known = data.labels >= 0
    assert np.mean((predictions == data.labels)[known]) == 1
    np.testing.assert_array_equal(cross_validated(data, QUICK)[known], predictions[known])
    first = Problem(data.codes[..., :1], data.mask, data.labels, data.folds, 2, (8,))
    shuffled = problem(kind, shuffled=True)
    for other in (first, shuffled) if kind == "clips" else (first,):
        known = other.labels >= 0
        assert np.mean((cross_validated(other, QUICK) == other.labels)[known]) < 0.7


def test_padding_changes_nothing() -> None:
    data = problem("clips")
    longer = np.pad(data.codes, ((0, 0), (0, 4), (0, 0)), constant_values=5)
    padded = Problem(longer, np.pad(data.mask, ((0, 0), (0, 4))), data.labels, data.folds, 2, (8, 8))
    np.testing.assert_array_equal(cross_validated(padded, QUICK), cross_validated(data, QUICK))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),  # Wilson (1927); the values of statsmodels 0.14's proportion_confint
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (50, 100, 0.40383, 0.59617)],
)
def test_wilson_intervals(hits: int, of: int, low: float, high: float) -> None:
    interval = wilson_interval(hits, of)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((hits / of, low, high), abs=1e-5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 30 tones: three words by ten speakers, and phones beside them."""
    folder = tmp_path_factory.mktemp("corpus")
    rows, rng = [], np.random.default_rng(0)
    for number in range(30):
        word, seconds = number % 3, 0.3 + 0.01 * (number % 5)
        time = np.arange(round(seconds * RATE)) / RATE
        signal = 0.5 * np.sin(2 * np.pi * (200, 700, 2000)[word] * time) + 0.01 * rng.normal(size=len(time))
        audio.write(folder / f"{number}.wav", signal[:, None].astype(np.float32), RATE)
        row = {"file": f"{number}.wav", "id": f"clip{number}", "text": f"{WORDS[word]}.", "speaker": f"s{number // 3}"}
        rows.append(row)
        half = RATE // 8
        (folder / f"clip{number}.phn").write_text(f"0 {half} h#\n{half} {len(time)} {WORDS[word][:2]}\n")
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One mono and one stereo model, of 100 frames per second."""
    folder = tmp_path_factory.mktemp("models")
    names = ("soundstream", "encodec_48khz")
    for name in names:
        config = small_models.config(name)
        config.model.strides = (8, 10)
        Codec.init_random(config.validate(), seed=3).save(folder / name)
    return [folder / name for name in names]


def test_the_command(run, corpus: Path, models: list[Path], tmp_path: Path) -> None:  # noqa: F811
    options = [f"--model={model}" for model in models]
    command = (
        "probe",
        corpus,
        "--task=words",
        *options,
        "--codebooks=1,4,9",
        "--updates=40",
        "--out",
        tmp_path / "out",
    )
    status, text, _ = run(*command)
    assert status == 0
    lines = text.splitlines()
    assert lines[0].startswith("words: 30 clips, 0.00 h, 3 labels, chance 33.3 %")
    assert max(map(len, lines)) <= 80 and len(lines) == 3 + 4
    content = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert [row["codebooks"] for row in content["rows"]] == [1, 4, 1, 4]
    assert max(row["accuracy"]["mean"] for row in content["rows"]) > 0.9  # tones are easy to tell
    table = (tmp_path / "out" / "probe.md").read_text()
    assert table.count("| tiny_soundstream |") == 2 and "| 95 % interval |" in table
    assert run(*command)[2].startswith(f"codax: {tmp_path}/out: the folder is not empty")


def test_phones_of_label_files_and_repeated_runs(corpus: Path, models: list[Path]) -> None:
    def measure() -> probe.Results:
        labels = str(corpus.parent)
        return probe.measure(str(corpus), "phones", [models[0]], codebooks=[4], labels=labels, settings=QUICK)

    results = measure()
    assert results == measure()
    assert results.classes == 4 and results.items > 30 * 30
    assert results.chance < results.rows[0].accuracy.low < results.rows[0].accuracy.mean <= 1


def test_folds_hold_unseen_speakers_and_every_label(corpus: Path) -> None:
    clips, folds = tasks.load("words", str(corpus), None, None)
    speakers = [
        {c.utterance.entry.speaker for c, f in zip(clips, folds, strict=True) if f == fold} for fold in range(5)
    ]
    assert [len(x) for x in speakers] == [2] * 5 and len(set().union(*speakers)) == 10
    assert tasks.names(clips[0]) == ["low"]
    rows = [{**json.loads(line), "speaker": f"s{i % 6}"} for i, line in enumerate(corpus.read_text().splitlines())]
    other = corpus.with_name("six.jsonl")
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips, folds = tasks.load("speaker", str(other), None, None)
    assert all(
        {c.label for c, f in zip(clips, folds, strict=True) if f == fold} == {f"s{i}" for i in range(6)}
        for fold in range(5)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task=speaker",), "--task speaker: 0 of 30 utterances have a speaker with 5 utterances or more, with 0"),
        (("--task=words", "--labels=."), "--labels: only --task phones has label files"),
        (("--task=words", "--codebooks=9"), "--codebooks: no model has one of these numbers"),
        (("--task=words", "--codebooks=a"), "--codebooks: expected whole numbers, got a"),
        (("--task=words", "--model=nowhere"), "nowhere"),
    ],
)
def test_invalid_input_is_one_line(run, corpus: Path, models: list[Path], options, message: str) -> None:  # noqa: F811
    status, _, error = run("probe", corpus, f"--model={models[0]}", *options)
    assert status == 1 and message in error and error.count("\n") == 1
