"""Averages, files and lines of the log."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from codax.audio.spectrograms import spectrograms
from codax.training.logs import MetricsFile, TensorBoard, Window, read_metrics
from codax.training.reporting import Clock
from codax.training.terminal import Terminal
from tensorboardX.proto.event_pb2 import Event


def test_window_averages_what_is_finite_and_keeps_the_last_count() -> None:
    window = Window()
    window.add({"loss": np.float32(1), "levels": np.array([1.0, 2.0]), "bad_total": np.int32(0)})
    window.add({"loss": np.float32(4), "levels": np.array([3.0, np.nan]), "rare": 7.0, "bad_total": np.int32(1)})
    window.add({"loss": np.float32(np.nan), "bad_total": np.int32(2), "never": np.float32(np.inf)})
    line = window.flush()
    assert line == {
        "loss": 2.5,
        "levels": 2.0,
        "levels_levels": [2.0, 2.0],
        "rare": 7.0,
        "bad_total": 2,
        "never": None,
    }
    assert window.flush() == {}


def test_window_goes_on_from_saved_sums_to_the_same_means() -> None:
    values = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    whole, part = Window(), Window()
    for i, value in enumerate(values):
        metrics = {"a": value[0], "b": value}
        whole.add(metrics)
        part.add(metrics)
        if i == 4:
            part = Window(json.loads(json.dumps(part.save())))
    assert part.flush() == whole.flush()


def test_metrics_file_drops_what_lies_beyond_the_restored_step(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path, after=0)
    for step in (2, 4, 6):
        file.write({"step": step, "kind": "train"})
    file.close()
    with (tmp_path / "metrics.jsonl").open("a") as raw:
        raw.write('{"step": 8, "lo')
    file = MetricsFile(tmp_path, after=4)
    file.write({"step": 5, "kind": "train"})
    file.close()
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 5]


def test_tensorboard_gets_scalars_audio_and_images(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, after=10)
    board.scalars(12, {"loss": 0.5, "list": [1.0], "missing": None}, prefix="train")
    board.audio(12, "voice", np.zeros((80, 1), np.float32), 8000)
    png, size = spectrograms({"one": np.zeros(8000, np.float32), "two": np.ones(100, np.float32)}, 8000)
    assert png.startswith(b"\x89PNG")
    board.png(12, "picture", png, size)
    board.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    assert events[0].file_version and (events[1].step, events[1].session_log.status) == (11, 1)
    scalar, sound, image = (event.summary.value[0] for event in events[2:])
    assert scalar.tag == "train/loss" and scalar.simple_value == 0.5
    assert sound.audio.sample_rate == 8000 and sound.audio.length_frames == 80
    assert image.image.encoded_image_string == png and image.image.width == size[0]


def test_plain_lines_show_losses_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    line = {
        "loss/b": 0.25,
        "loss/a": 2.0,
        "time/steps_per_second": 2.0,
        "time/audio_seconds_per_second": 16.0,
        "time/data_share": 0.031,
    }
    with Terminal(8000) as terminal:
        terminal.advance(800)
        terminal.report(800, line)
        terminal.warn("a file was skipped")
    with Terminal(8000, quiet=True) as terminal:
        terminal.report(800, line)
    out, err = capsys.readouterr()
    assert out == "step 800/8,000  2 steps/s  left 1:00:00  a 2  b 0.25  16.0 x real time  data 3 %\n"
    assert err == "warning: a file was skipped\n"


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"step": 3, "loss/mel": ',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"step": ' + b"1" * 400 + b"}",
        b'{"step": 1e308}',
        b'{"step": -1}',
        b'{"step": NaN}',
        b'{"step": [1]}',
        b"[1]",
        b"null",
    ],
    ids=lambda line: repr(line[:16]),
)
def test_damaged_lines_are_left_out(tmp_path: Path, damaged: bytes) -> None:
    lines = [b'{"step": 2, "kind": "train"}', damaged, b'{"step": 4, "kind": "train"}']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert [line["step"] for line in read_metrics(tmp_path)] == [2, 4]
    MetricsFile(tmp_path, after=4).close()
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [2, 4]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path, after=0)
    file.write({"step": 1, "kind": "validation", "snr/6kbps": np.nan, "bits": [1.5, np.inf]})
    file.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line == {"step": 1, "kind": "validation", "snr/6kbps": None, "bits": [1.5, None]}


def test_a_compiled_step_counts_neither_as_step_nor_as_time() -> None:
    watch = Clock()
    with watch.step(is_compiled=True):
        time.sleep(0.05)
    with watch.step(is_compiled=False):
        time.sleep(0.05)
    rate = watch.flush(1.0)["time/steps_per_second"]
    assert rate == pytest.approx(20, rel=0.5) and rate < 20  # 40 if both counted
