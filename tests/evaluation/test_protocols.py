"""Protocols fix the settings of an evaluation, and results state them."""

import json

import pytest
from absl.testing import flagsaver
from codax.cli import evaluate as program
from codax.errors import CodaxError
from codax.evaluation import protocols, runner, table
from codax.metrics import registry
from codax.storage.digests import sha256

PROTOCOL = {
    "description": "A test.", "follows": "nobody", "metrics": ["snr", "SI-SDR"], "asr": "tiny.en", "sample_rate": 8000,
    "channels": "mix", "utterances": 3,
}  # fmt: skip


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(PROTOCOL))
    return path


def test_results_state_the_protocol(protocol, folder, tmp_path, capsys):
    options = {"baselines": ("opus:12",), "protocol": str(protocol)}
    results = runner.evaluate(None, str(folder), tmp_path / "out", **options)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["protocol"] == {
        "name": "ours", "hash": sha256(protocol.read_bytes()).hexdigest(), "description": "A test.",
        "follows": "nobody", "departures": [],
    }  # fmt: skip
    assert list(document["metrics"]) == ["si_sdr", "snr"] and document["data"]["sample_rate"] == 8000
    assert document["settings"]["channels"] == "mix"
    assert "8000 Hz, protocol ours;" in table.caption(results)
    assert "protocol: hash" in (tmp_path / "out" / "report.html").read_text()
    assert "not protocol" not in capsys.readouterr().err
    results = runner.evaluate(None, str(folder), None, limit=2, **options)
    assert results.about["protocol"]["departures"] == ["2 utterances instead of 3"]
    assert "protocol ours; 2 utterances instead of 3" in table.caption(results)
    assert "codax: not protocol ours: 2 utterances instead of 3" in capsys.readouterr().err


def test_equal_settings_and_more_metrics_are_no_contradiction(protocol, folder):
    settings = {"sample_rate": 8000, "asr": "tiny.en", "channels": "mix", "metrics": ("level", "si-sdr", "snr")}
    results = runner.evaluate(None, str(folder), None, baselines=("opus:12",), protocol=str(protocol), **settings)
    assert set(results.keys) == {"snr", "si_sdr", "level"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--metrics=snr"], "protocol ours: has metrics snr,si_sdr, not snr"),
        (["--asr=base"], "protocol ours: has asr tiny.en, not base"),
        (["--sample_rate=16000"], "protocol ours: has sample_rate 8000, not 16000"),
        (["--channels=each"], "protocol ours: has channels mix, not each"),
    ],
)
def test_flags_that_contradict_are_refused(protocol, folder, tmp_path, arguments, reason):
    common = [f"--protocol={protocol}", f"--data={folder}", f"--out={tmp_path / 'out'}", "--baselines=opus:12"]
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
        program.FLAGS(["eval.py", *common, *arguments])
        program.main([])
    assert stop.value.code == f"codax: {reason}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"metrics": ["loudness"]}, "protocol ours: unknown metric 'loudness'"),
        ({"metric": ["snr"]}, "ours.json: unknown protocol field metric"),
        ({"sample_rate": "fast"}, "ours.json: protocol field sample_rate: expected int"),
        ({"hash": "00"}, "ours.json: unknown protocol field hash"),
        ([], "ours.json: not a readable protocol"),
    ],
)
def test_invalid_ones_are_one_line(protocol, folder, tmp_path, content, reason):
    protocol.write_text(json.dumps(content))
    with pytest.raises(CodaxError, match=reason) as stop:
        runner.evaluate(None, str(folder), tmp_path / "out", baselines=("opus:12",), protocol=str(protocol))
    assert "\n" not in str(stop.value) and not (tmp_path / "out").exists()


def test_a_missing_package_is_named_before_the_data_are_read(protocol, monkeypatch):
    protocol.write_text(json.dumps({"metrics": ["stoi"]}))
    monkeypatch.setitem(__import__("sys").modules, "pystoi", None)
    with pytest.raises(CodaxError, match=r"protocol ours: pystoi is not installed .*pip install"):
        runner.evaluate(None, "no/such/data", None, baselines=("opus:12",), protocol=str(protocol))


def test_those_of_the_package():
    assert "librispeech-test-clean" in protocols.names()
    for name in protocols.names():
        protocol = protocols.load(name)
        assert protocol.description and protocol.follows
        assert set(protocol.metrics) <= set(registry.NAMES)
    with pytest.raises(CodaxError, match="protocol librispeech: no such file; .*librispeech-test-clean"):
        protocols.load("librispeech")
