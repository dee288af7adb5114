"""Phones of speech: aligned with a text, or read from label files of two formats."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from codax.data.sources.spec import load_utterances
from codax.errors import CodaxError
from codax.metrics import phones
from codax.metrics.phones import Segment
from codax.metrics.signals import MetricError

GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.5
<exists>
2
"IntervalTier"
"words"
0
0.5
1
0
0.5
"hi"
"IntervalTier"
"speaker - phones"
0
0.5
3
0
0.1
""
0.1
0.3
"HH"
0.3
0.5
"AY1"
"""


def utterance(seconds: float, text: str | None, identifier: str = "a", rate: int = 16_000):
    entry = types.SimpleNamespace(sample_rate=rate)
    audio = np.zeros((round(seconds * 16_000), 1), np.float32)
    return types.SimpleNamespace(id=identifier, text=text, audio=audio, sample_rate=16_000, entry=entry)


def test_the_phone_at_the_middle_of_a_frame() -> None:
    segments = [Segment(0.0, 0.02, "A"), Segment(0.02, 0.04, "B"), Segment(0.051, 0.06, "C")]
    assert phones.at_frames(segments, 4, 50.0) == ["A", "B", None, None]
    assert phones.at_frames(segments, 7, 100.0) == ["A", "A", "B", "B", None, "C", None]
    assert phones.span(segments[2], 4, 50.0) == (3, 3)  # too short for a frame
    assert phones.span(Segment(0.0, 9.0, "A"), 4, 50.0) == (0, 4)


def test_speech_is_aligned_and_other_texts_are_refused() -> None:
    pytest.importorskip("pocketsphinx")
    aligner = phones.Aligner()
    for seconds, text, reason in (
        (1, None, "no transcript"),
        (1, "hello wrzlbrmft", "no pronunciation of wrzlbrmft"),
        (1, "4 you", "no pronunciation of"),
        (0.01, "hello world how are you today", "the audio does not fit its text"),
    ):
        with pytest.raises(MetricError, match=reason):
            aligner(utterance(seconds, text))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "dr1").mkdir()
    (tmp_path / "a.TextGrid").write_text(GRID)
    (tmp_path / "dr1" / "SA1.PHN").write_text("0 1600 h#\n1600 3200 sh\n3200 4800 ix\n")
    return tmp_path


def test_label_files(folder) -> None:
    pytest.importorskip("praatio")
    labels = phones.LabelFolder(folder)
    expected = [Segment(0, 0.1, "SIL"), Segment(0.1, 0.3, "HH"), Segment(0.3, 0.5, "AY")]
    assert labels(utterance(0.5, None)) == expected
    # Samples are those of the file, whatever the rate of the evaluation.
    timit = labels(utterance(0.5, None, "dr1-SA1", rate=16_000))
    assert timit == [Segment(0, 0.1, "SIL"), Segment(0.1, 0.2, "sh"), Segment(0.2, 0.3, "ix")]
    assert labels(utterance(0.5, None, "dr1-SA1", rate=32_000))[1] == Segment(0.05, 0.1, "sh")
    with pytest.raises(MetricError, match=r"no label file b\.TextGrid or b\.phn"):
        labels(utterance(0.5, None, "b"))


def test_their_names_are_the_ids_of_utterances(folder, make_speech_folder) -> None:
    sources = load_utterances(str(make_speech_folder(folder)), sample_rate=16_000)
    assert {u.id for u in sources} == set(phones.LabelFolder(folder)._files)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.phn", "0 10\n", r"a\.phn:1: expected first sample"),
        ("a.phn", "0 10 a\n20 10 b\n", r"a\.phn:2: expected"),
        ("a.phn", "\n", "holds no phones"),
        ("a.phn", "\xff\xfe", "expected first sample"),
        ("a.TextGrid", "nothing", "not a readable TextGrid"),
        ("a.TextGrid", GRID.replace("speaker - phones", "sounds"), "no tier with 'phone' in its name"),
    ],
)
def test_damaged_label_files_are_named(tmp_path, name, content, reason) -> None:
    pytest.importorskip("praatio")
    (tmp_path / name).write_text(content)
    with pytest.raises(MetricError, match=reason):
        phones.LabelFolder(tmp_path)(utterance(0.5, None))


def test_two_label_files_of_one_utterance(folder) -> None:
    (folder / "a.phn").write_text("0 10 a\n")
    with pytest.raises(CodaxError, match=r"two \.TextGrid or \.phn files with the name a$"):
        phones.LabelFolder(folder)


def test_a_folder_without_labels(tmp_path) -> None:
    with pytest.raises(CodaxError, match=r"holds no \.TextGrid or \.phn files"):
        phones.LabelFolder(tmp_path)


@pytest.fixture
def make_speech_folder():
    from codax import audio

    def make(folder: Path) -> Path:
        for name in ("a.wav", "dr1/SA1.wav"):
            noise = np.random.default_rng(len(name)).uniform(-0.3, 0.3, (16_000, 1)).astype(np.float32)
            audio.write(folder / name, noise, 16_000)
        return folder

    return make
