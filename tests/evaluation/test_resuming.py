"""An interrupted evaluation resumes; several processes give what one gives."""

import csv
import json

import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import CodaxError
from codax.evaluation import runner
from codax.storage import staging

SETTINGS = {"metrics": ("snr", "codebooks"), "baselines": ("opus:12",), "kbps": [64.0]}


class Stopped(KeyboardInterrupt):
    """Ctrl-C."""


def test_it_goes_on_where_it_was(codec, folder, tmp_path):
    out = tmp_path / "out"
    whole = runner.evaluate(codec, str(folder), tmp_path / "whole", **SETTINGS)
    code, calls = codec.encode, []

    def encode(signals, **options):
        calls.append(signals.shape[1])
        if len(calls) == 2:
            raise Stopped
        return code(signals, **options)

    codec.encode = encode
    with pytest.raises(Stopped):
        runner.evaluate(codec, str(folder), out, **SETTINGS)
    assert not out.exists()
    assert [p.name for p in tmp_path.glob(".*")] == [".out.part"]
    results = runner.evaluate(codec, str(folder), out, **SETTINGS)
    assert len(calls) == 4  # one, one that was interrupted, and the two that were left
    assert not list(tmp_path.glob(".*"))
    assert results.to_csv() == whole.to_csv()
    documents = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "out")]
    for document in documents:
        document.pop("created")
        for system in document["systems"]:
            system.pop("real_time_factor")
    assert documents[0] == documents[1]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_another_evaluation_begins_anew(codec, folder, tmp_path):
    code, calls = codec.encode, []

    def encode(signals, **options):
        calls.append(1)
        if len(calls) == 2:
            raise Stopped
        return code(signals, **options)

    codec.encode = encode
    with pytest.raises(Stopped):
        runner.evaluate(codec, str(folder), tmp_path / "out", **SETTINGS)
    changed = SETTINGS | {"metrics": ("snr", "si_sdr")}
    results = runner.evaluate(codec, str(folder), tmp_path / "out", **changed)
    assert len(calls) == 2 + 3
    assert results.system("fake_64kbps").metrics["si_sdr"].n == 3
    # The seed of the intervals is of no concern to single measurements.
    assert setup_fingerprint(codec, folder, seed=1) == setup_fingerprint(codec, folder, seed=2)
    assert setup_fingerprint(codec, folder, limit=2) != setup_fingerprint(codec, folder, limit=None)


def setup_fingerprint(codec, folder, **changes):
    arguments = {
        "kbps": None, "quantizers": None, "metrics": ("snr",), "baselines": (), "asr": "base", "limit": None,
        "split": "test", "seed": 0, "sample_rate": None, "labels": None,
    } | changes  # fmt: skip
    return runner.prepare(codec, str(folder), **arguments).fingerprint()


def test_two_at_once_are_refused(tmp_path):
    with staging.staged(tmp_path / "out", "a") as stage:
        (stage / "file").write_text("x")
        with pytest.raises(CodaxError, match="another command is writing"), staging.staged(tmp_path / "out", "a"):
            pass
    assert (tmp_path / "out" / "file").read_text() == "x"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_errors_leave_nothing(tmp_path):
    with pytest.raises(CodaxError, match="no"), staging.staged(tmp_path / "out", "a") as stage:
        (stage / "file").write_text("x")
        raise CodaxError("no")
    assert not list(tmp_path.iterdir())


def test_two_processes_give_what_one_gives(folder, tmp_path):
    config = Config(name="small")
    config.model.sample_rate, config.model.channels, config.model.strides = 16_000, 4, (4, 8)
    config.model.dimension, config.model.dilations = 8, (1,)
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 32, (5.0,)
    Codec.init_random(config).save(tmp_path / "model")
    settings = {"metrics": ("snr", "codebooks"), "baselines": ("opus:12",)}
    tables = []
    for processes in (1, 2):
        out = tmp_path / f"out{processes}"
        runner.evaluate(str(tmp_path / "model"), str(folder), out, processes=processes, **settings)
        with open(out / "per_file.csv", newline="") as file:
            tables.append(list(csv.DictReader(file)))
        assert sorted(p.name for p in (out / "audio" / "small_5kbps").iterdir()) == [f"clip{i}.wav" for i in range(3)]
    assert tables[0] == tables[1]
    with pytest.raises(CodaxError, match="given by name"):
        runner.evaluate(Codec.init_random(config), str(folder), tmp_path / "x", processes=2, **settings)
    with pytest.raises(CodaxError, match="given by name"):
        runner.evaluate(str(tmp_path / "model"), str(folder), None, processes=2, **settings)


def test_what_is_noted_comes_back(tmp_path):
    from codax.evaluation.journal import Journal
    from codax.evaluation.measuring import Measured
    from codax.evaluation.results import Row
    from codax.metrics.wer import ErrorCounts

    row = Row(
        "a", "b", "audio/a/b.wav", 1.5, 10, 8, 0.1, {"snr": 3.5}, {"wer": ErrorCounts(1, 2, 3, 4)}, "x", "y", {"m": "r"}
    )
    journal = Journal(tmp_path)
    journal.write(3, Measured([row], {"a": np.arange(6).reshape(1, 3, 2)}, {("a", "fad"): np.ones(2)}))
    assert 3 in journal and 2 not in journal and len(journal) == 1
    repeated = journal.read(3)
    assert repeated.rows == [row]
    np.testing.assert_array_equal(repeated.codes["a"], np.arange(6).reshape(1, 3, 2))
    assert {key: sums.tolist() for key, sums in repeated.sums.items()} == {("a", "fad"): [1, 1]}
