"""Decoded files of other codecs: `codax evaluate-pairs`, and beside models in one evaluation."""

import csv
import json

import numpy as np
import pytest
from codax import audio
from codax.errors import CodaxError
from codax.evaluation import runner
from command import run  # noqa: F401 (a fixture)

RATE = 16_000


@pytest.fixture
def decoded(folder, tmp_path):
    """Halves of the originals, at another rate and with other lengths and extensions."""
    out = tmp_path / "decoded"
    out.mkdir()
    for index, suffix in enumerate((".flac", ".wav", ".wav")):
        clip = audio.resample(audio.read(folder / f"clip{index}.wav")[0] / 2, RATE, 24_000)
        clip = np.pad(clip, ((0, 700), (0, 0))) if index else clip[:-700]
        audio.write(out / f"clip{index}{suffix}", clip, 24_000)
    return out


def test_the_command(run, folder, decoded, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    options = ("--metrics", "level,stoi", "--sample-rate", RATE, "--out", out)
    status, text, messages = run("evaluate-pairs", folder, f"theirs={decoded}", *options)
    assert status == 0, messages
    assert "theirs" in text and "-6.0" in text and "report.html" in text
    document = json.loads((out / "results.json").read_text())
    theirs = document["systems"][1]
    assert (theirs["key"], theirs["kind"]) == ("theirs", "decoded")
    assert theirs["bits_per_second"] is None and theirs["real_time_factor"] is None
    assert theirs["metrics"]["level"]["mean"] == pytest.approx(-6, abs=0.1) and theirs["failed"] == 0
    assert theirs["metrics"]["stoi"]["mean"] > 0.9
    assert document["decoded"][0]["files"] == 3 and document["data"]["sample_rate"] == RATE
    for index in range(3):
        clip, rate = audio.read(out / "audio" / "theirs" / f"clip{index}.wav")
        assert (clip.shape, rate) == (audio.read(folder / f"clip{index}.wav")[0].shape, RATE)
    with (out / "per_file.csv").open(newline="") as file:
        assert sorted(row["system"] for row in csv.DictReader(file)) == ["original"] * 3 + ["theirs"] * 3
    assert "theirs" in (out / "report.html").read_text()
    for overlap in (decoded, folder):
        status, _, messages = run("evaluate-pairs", folder, f"theirs={decoded}", "--out", overlap, "--overwrite")
        assert status == 1 and "input and output are the same folder" in messages


def test_the_rate_is_that_of_the_decoded_files(folder, decoded):
    results = runner.evaluate(None, str(folder), None, metrics=("snr",), decoded=[str(decoded)])
    assert results.about["data"]["sample_rate"] == 24_000
    audio.write(decoded / "clip0.flac", np.zeros((100, 1)), 8_000)
    with pytest.raises(CodaxError, match="decoded files at 8000 and 24000 Hz"):
        runner.evaluate(None, str(folder), None, metrics=("snr",), decoded=[str(decoded)])


def test_an_evaluations_audio_has_the_values_of_its_codec(codec, folder, tmp_path):
    """The decoded audio of an evaluation is a folder of decoded files, whose names are the ids of utterances."""
    (folder / "deep").mkdir()
    (folder / "clip2.wav").rename(folder / "deep" / "clip 2.wav")
    runner.evaluate(codec, str(folder), tmp_path / "out", kbps=[128.0], metrics=("snr",))
    files = f"theirs={tmp_path / 'out' / 'audio' / 'fake_128kbps'}"
    options = {"kbps": [64.0, 128.0], "metrics": ("snr",), "decoded": [files]}
    _, low, high, theirs = runner.evaluate(codec, str(folder), None, **options).systems
    assert theirs.metrics["snr"].mean == pytest.approx(high.metrics["snr"].mean, abs=0.05)
    assert theirs.metrics["snr"].mean > low.metrics["snr"].mean + 1 and theirs.failed == 0


def test_files_that_fail_are_named_and_the_others_measured(folder, decoded, capsys):
    (decoded / "clip0.flac").unlink()
    (decoded / "other.wav").write_bytes((decoded / "clip1.wav").read_bytes())
    clip, rate = audio.read(decoded / "clip1.wav")
    audio.write(folder / "clip3.wav", audio.read(folder / "clip1.wav")[0], RATE)
    audio.write(decoded / "clip3.wav", np.repeat(clip, 2, axis=1), rate)
    audio.write(folder / "clip4.wav", audio.read(folder / "clip1.wav")[0], RATE)
    audio.write(decoded / "clip4.wav", clip[: rate // 2], rate)
    (folder / "clip5.wav").write_bytes((folder / "clip1.wav").read_bytes())
    (decoded / "clip5.wav").write_bytes(b"RIFF")
    results = runner.evaluate(None, str(folder), None, metrics=("snr",), decoded=[str(decoded)])
    reasons = {failure["utterance"]: failure["reason"] for failure in results.failures()}
    assert "no decoded file of clip0" in reasons["clip0"]
    assert "clip3.wav: 2 channels, its original has 1" in reasons["clip3"]
    assert "clip4.wav: 1.5 s shorter than its original" in reasons["clip4"]
    assert "clip5.wav" in reasons["clip5"] and len(reasons) == 4
    assert (results.systems[1].metrics["snr"].n, results.systems[1].metrics["snr"].of) == (2, 6)
    warnings = capsys.readouterr().err
    assert "no decoded file of clip0\n" in warnings and "no original of other, not measured\n" in warnings


def test_a_mono_file_is_in_every_channel_of_a_stereo_original(folder, decoded):
    for index in range(3):
        audio.write(folder / f"clip{index}.wav", np.repeat(audio.read(folder / f"clip{index}.wav")[0], 2, axis=1), RATE)
    results = runner.evaluate(None, str(folder), None, metrics=("level",), decoded=[str(decoded)])
    assert results.systems[1].metrics["level"].mean == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize(
    ("names", "spec", "reason"),
    [
        ((), "no/such/folder", "no/such/folder: is not a folder"),
        ((), "{}", "holds no audio"),
        (("x.wav", "y.wav"), "{}", "the originals are clip0, clip1, clip2, the decoded files x, y"),
        (("clip0.wav", "clip0.flac"), "{}", "two audio files with the name clip0"),
        (("clip0.wav",), "original={}", "original is given twice"),
    ],
)
def test_folders_that_are_refused(folder, tmp_path, names, spec, reason):
    (tmp_path / "deg").mkdir()
    for name in names:
        audio.write(tmp_path / "deg" / name, np.full((100, 1), 0.1), RATE)
    with pytest.raises(CodaxError, match=reason) as stop:
        runner.evaluate(None, str(folder), tmp_path / "out", decoded=[spec.format(tmp_path / "deg")], metrics=("snr",))
    assert "\n" not in str(stop.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "deg"]


def test_changed_files_are_measured_again(folder, decoded):
    def fingerprint():
        return runner.prepare(
            None, str(folder), kbps=None, quantizers=None, metrics=("snr",), baselines=(), asr="base", limit=None,
            split="test", seed=0, sample_rate=None, labels=None, decoded=[str(decoded)],
        ).fingerprint()  # fmt: skip

    before = fingerprint()
    assert fingerprint() == before
    audio.write(decoded / "clip0.flac", np.full((99, 1), 0.1), 24_000)
    assert fingerprint() != before
