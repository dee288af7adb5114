"""A whole evaluation: what it writes, what it says of files that fail, and what it leaves behind when it fails."""

import csv
import json

import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config import presets
from codax.errors import CodaxError
from codax.evaluation import inputs, runner, table
from codax.evaluation.codecs import Model
from codax.interop.formats import export_huggingface
from codax.metrics import registry

RATE = 16_000

pytest.importorskip("jiwer")
pytest.importorskip("visqol")


@pytest.fixture
def evaluate(codec, recognizer, folder, tmp_path):
    def run(**changes):
        arguments = {"model": codec, "data": str(folder), "out": None, "metrics": ("snr", "wer")}
        arguments |= {"baselines": ("opus:12",), "asr": recognizer, **changes}
        return runner.evaluate(**arguments)

    return run


def test_everything_is_written(finished):
    results, out, data = finished
    names = [
        "audio",
        "clips",
        "comparisons.csv",
        "information_split.png",
        "per_file.csv",
        "rate_quality.png",
        "report.html",
    ]
    names += ["results.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert [p.name for p in out.parent.iterdir()] == ["out"]  # no stage is left
    assert [s.key for s in results.systems] == ["original", "fake_64kbps", "fake_128kbps", "opus_12kbps"]
    for system in results.systems:
        for index in range(3):
            decoded, rate = audio.read(out / "audio" / system.key / f"clip{index}.wav")
            original, _ = audio.read(data / f"clip{index}.wav")
            assert rate == RATE
            assert decoded.shape == original.shape
    for name in ("rate_quality.png", "information_split.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_results_json(finished):
    document = json.loads((finished[1] / "results.json").read_text())
    assert (document["format"], document["version"]) == ("codax-results", 1)
    assert document["failures"] == []
    assert [model["name"] for model in document["models"]] == ["fake"]
    assert document["data"]["utterances"] == 3
    assert document["settings"]["recognizer"] == "fake recogniser"
    assert {"codax", "numpy", "python", "av"} <= set(document["versions"])
    assert document["metrics"]["visqol"]["mapping"] == "lattice"
    by_key = {system["key"]: system for system in document["systems"]}
    for system in by_key.values():
        for key, value in system["metrics"].items():
            if value is not None and key not in ("codebook_use", "perplexity", "entropy_kbps"):
                assert value["low"] <= value["mean"] <= value["high"], key
                assert value["n"] == 3
                assert value["unit"] == document["metrics"][key]["unit"]
    assert by_key["original"]["bits_per_second"] is None
    assert by_key["original"]["metrics"]["nsim"]["mean"] == pytest.approx(1)
    assert by_key["fake_64kbps"]["metrics"]["visqol"]["mapping"] == "lattice"
    assert by_key["fake_64kbps"]["metrics"]["visqol_exponential"]["mapping"] == "exponential"


def test_comparisons_by_hand(finished):
    results, out, _ = finished
    with open(out / "comparisons.csv", newline="") as file:
        lines = {(x["metric"], x["first"], x["second"]): x for x in csv.DictReader(file)}
    assert {(a, b) for _, a, b in lines} == {
        ("fake_64kbps", "fake_128kbps"), ("fake_64kbps", "opus_12kbps"), ("fake_128kbps", "opus_12kbps")
    }  # fmt: skip
    low, high = (results.system(key).metrics for key in ("fake_64kbps", "fake_128kbps"))
    for metric in ("wer", "nsim"):
        line = lines[metric, "fake_64kbps", "fake_128kbps"]
        assert float(line["difference"]) == pytest.approx(low[metric].mean - high[metric].mean, rel=1e-4)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])
        assert line["utterances"] == "3"
    page = (out / "report.html").read_text()
    assert "fake 64 kbps − fake 128 kbps" in page and "<strong>" in page


def test_several_models_by_name(evaluate, codec, tmp_path):
    results = evaluate(model=[codec, Model("other", codec)], kbps=[64.0], baselines=(), metrics=("snr",))
    assert [s.label for s in results.systems] == ["original", "fake 64 kbps", "other 64 kbps"]
    assert [m["name"] for m in results.about["models"]] == ["fake", "other"]
    with pytest.raises(CodaxError, match="two models are called fake"):
        evaluate(model=[codec, codec])
    with pytest.raises(CodaxError, match="no/such"):
        evaluate(model="a=no/such")
    other = type(codec)()
    other.config.model.sample_rate, other.model_id = 8000, "slow"
    with pytest.raises(CodaxError, match="8000 and 16000 Hz"):
        evaluate(model=[codec, other], quantizers=[1])


def test_anchors_take_part(evaluate):
    results = evaluate(model=None, baselines=("anchor35", "anchor70"), metrics=("snr", "nsim"))
    assert [s.label for s in results.systems] == ["original", "low-pass 3.5 kHz", "low-pass 7 kHz"]
    _, low, high = results.systems
    assert low.bits_per_second is None and low.nominal_kbps is None and low.kind == "anchor"
    assert low.metrics["nsim"].mean < high.metrics["nsim"].mean < 1
    assert "low-pass 3.5 kHz" in table.format_table(results)
    with pytest.raises(CodaxError, match="anchor35 or anchor70"):
        evaluate(model=None, baselines=("anchor",))


def test_a_folder_of_another_project_takes_part(evaluate, tmp_path):
    config = presets.encodec_24khz()
    config.model.sample_rate, config.model.channels, config.model.dimension = RATE, 4, 8
    config.quantizer.codebook_size, config.quantizer.kbps = 32, (1.5, 3.0)
    config.quantizer.num_quantizers = 12
    codec = Codec.init_random(config)
    export_huggingface(codec, tmp_path / "hf")
    results = evaluate(model=f"theirs={tmp_path / 'hf'}", kbps=[1.5], metrics=("snr",), baselines=())
    assert results.systems[1].label == "theirs 1.5 kbps"
    assert results.about["models"][0]["path"].endswith("hf")


def test_bits_are_those_of_the_files(finished):
    low, high, opus = finished[0].systems[1:]
    seconds = low.seconds
    # 8000 frames a second of 8 bits; the header and checksums add at most 64 bytes to each of three files.
    assert low.payload_bits_per_second.mean == pytest.approx(64_000, rel=1e-3)
    assert high.payload_bits_per_second.mean == pytest.approx(128_000, rel=1e-3)
    overhead = (low.bits_per_second.mean - low.payload_bits_per_second.mean) * seconds / 8
    assert 3 * 30 < overhead <= 3 * 64
    assert opus.bits_per_second.mean > opus.payload_bits_per_second.mean > 6_000


def test_scores_by_hand(finished):
    original, low, high, _ = finished[0].systems
    assert original.metrics["wer"].mean == 0
    assert original.metrics["snr"].mean == 100
    assert low.metrics["snr"].mean < high.metrics["snr"].mean
    # One of 2, 3 and 4 words is wrong in every file of the coarse codec, in none of the fine one.
    assert low.metrics["wer"].mean == pytest.approx(100 * 3 / 9)
    assert low.metrics["dwer"].mean == pytest.approx(100 * 3 / 9)
    assert low.counts["wer"].substitutions == 3
    assert high.metrics["wer"].mean == 0
    assert low.codebooks.nominal_bps == 64_000
    assert 0 < low.metrics["entropy_kbps"].mean < 64


def test_the_first_codebook_and_the_split(finished):
    original, low, high, opus = finished[0].systems
    assert [system.codebooks_used for system in finished[0].systems] == [None, 1, 2, None]
    for key in ("pnmi", "phone_purity", "phone_accuracy", "abx", "abx_any"):
        # The first codebook is the same at both rates; who has no codes has no value.
        assert low.metrics[key] == high.metrics[key]
        assert original.metrics[key] is None and opus.metrics[key] is None
    assert 0 < low.metrics["pnmi"].mean <= 1
    assert low.metrics["abx_across"] is None
    assert original.metrics["speaker"].mean == pytest.approx(1)
    assert low.metrics["speaker"].mean < high.metrics["speaker"].mean
    assert finished[0].about["settings"]["phones"].startswith("label files in")


@pytest.mark.parametrize(
    ("columns", "mode", "suffix", "streams"),
    [
        ((1, 1), "each", "", 1),  # equal channels, whose real rate is the nominal one
        ((1, 0.5), "each", " x 2", 2),
        ((1, 0.5), "mid-side", " x 2", 2),
        ((1, 0.5), "mix", "", 1),
    ],
)
def test_rates_of_several_channels_are_not_hidden(evaluate, folder, tmp_path, columns, mode, suffix, streams):
    pytest.importorskip("av")
    data = tmp_path / "stereo"
    data.mkdir()
    for name in ("clip0", "clip1"):
        audio.write(data / f"{name}.wav", audio.read(folder / f"{name}.wav")[0] * np.float32(columns), RATE)
    options = {"data": str(data), "kbps": [128.0], "metrics": ("snr",), "baselines": ("g722:64",), "channels": mode}
    _, fake, g722 = evaluate(**options).systems
    assert fake.label == f"fake 128 kbps{suffix}"
    assert fake.streams == (streams, streams) and fake.nominal_kbps == 128.0
    assert fake.payload_bits_per_second.mean == pytest.approx(streams * 128_000, rel=1e-3)
    equal = columns == (1, 1)
    assert (g722.label, g722.streams) == (f"g722 64 kbps{'' if equal else ' x 2'}", (1, 1) if equal else (2, 2))
    assert g722.bits_per_second.mean == pytest.approx((1 if equal else 2) * 64_000, rel=0.05)
    assert fake.failed == 0 and fake.metrics["snr"].mean > (15 if mode != "mix" else 5)


def test_channels_of_several_numbers(evaluate, folder):
    clip = audio.read(folder / "clip0.wav")[0]
    audio.write(folder / "stereo.wav", np.concatenate([clip, clip / 2], axis=1), RATE)
    system = evaluate(kbps=[128.0], metrics=("snr",), baselines=()).systems[1]
    assert (system.label, system.streams) == ("fake 128 kbps x 1 to 2", (1, 2))


def test_rates_as_numbers_of_codebooks(evaluate):
    results = evaluate(quantizers=[2], metrics=("snr",), baselines=())
    assert [system.key for system in results.systems] == ["original", "fake_128kbps"]
    results = evaluate(quantizers="all", metrics=("snr",), baselines=())
    assert [system.codebooks_used for system in results.systems] == [None, 1, 2]


def test_per_file_rows(finished):
    out = finished[1]
    with (out / "per_file.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    row = next(r for r in rows if r["system"] == "fake_64kbps" and r["utterance"].startswith("clip1"))
    assert (row["wer_substitutions"], row["wer_reference"], row["wer"]) == ("1", "4", "25")
    assert row["heard"] == "rubbish bravo charlie delta"
    assert row["transcript"] == "alpha bravo charlie delta"
    assert (out / row["audio"]).is_file()
    assert float(row["bits_per_second"]) == pytest.approx(8 * int(row["file_bytes"]) / float(row["seconds"]), rel=1e-3)


def test_the_same_twice(evaluate):
    first, second = (evaluate(out=None).to_dict() for _ in range(2))
    for document in (first, second):
        document.pop("created")
        for system in document["systems"]:
            system.pop("real_time_factor")
    assert first == second


def test_a_file_that_fails_is_named_and_left_out(evaluate, folder):
    audio.write(folder / "loud.wav", np.tile(np.float32([1.0, -1.0]), RATE // 2)[:, None], RATE)
    audio.write(folder / "short.wav", 0.1 * np.ones((5000, 1), np.float32), RATE)
    results = evaluate(metrics=("snr", "nsim"))
    failures = {(f["system"], f["utterance"], f["metric"]): f["reason"] for f in results.failures()}
    assert failures["fake_64kbps", "loud", "system"] == "too loud"
    assert ("original", "loud", "system") not in failures
    assert results.system("fake_64kbps").metrics["snr"].n == 4
    assert results.system("fake_64kbps").failed >= 1
    assert "could not be measured" in table.format_table(results)
    assert "too loud" in results.to_csv()


def test_a_file_that_breaks_after_it_was_looked_at(evaluate, folder, monkeypatch):
    load = inputs.load_utterances

    def load_and_break(*arguments, **options):
        actual = load(*arguments, **options)
        (folder / "clip1.wav").write_bytes(b"RIFF")
        return actual

    monkeypatch.setattr(inputs, "load_utterances", load_and_break)
    results = evaluate(metrics=("snr",))
    assert {f["utterance"] for f in results.failures()} == {"clip1"}
    assert len(results.failures()) == 4  # every system
    assert "clip1.wav" in results.failures()[0]["reason"]
    assert results.systems[1].metrics["snr"].n == 2


def test_a_language_that_the_recogniser_does_not_know(evaluate, codec, recognizer, folder):
    recognizer.languages = frozenset({"fr"})
    results = evaluate()
    assert results.systems[0].metrics["wer"] is None
    assert "does not support the language 'en'" in results.failures()[0]["reason"]


def test_without_transcripts_only_the_differential_rates(evaluate, folder):
    (folder / "transcripts.tsv").unlink()
    results = evaluate()
    assert results.systems[1].metrics["wer"] is None
    assert results.systems[1].metrics["dwer"].mean == pytest.approx(100 * 3 / 9)
    json.loads(results.to_json())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ("snr", "loudness")}, "unknown metric 'loudness'"),
        ({"metrics": ()}, "no metrics"),
        ({"baselines": ("vorbis:6",)}, "unknown baseline"),
        ({"baselines": ("opus:12", "opus:12")}, "given twice"),
        ({"kbps": (100.0,)}, "100 kbps cannot be made"),
        ({"quantizers": (3,)}, "3 quantizers"),
        ({"quantizers": (1,), "kbps": (64.0,)}, "both as kbps and as numbers of codebooks"),
        ({"metrics": ("phones",), "labels": "no/such/labels"}, "no/such/labels: is not a folder"),
        ({"model": "no/such/model"}, "no/such/model"),
        ({"model": None, "kbps": (6.0,)}, "without a model"),
        ({"model": None, "baselines": ()}, "nothing to evaluate"),
        ({"data": "no/such/data"}, "no/such/data"),
        ({"limit": 0}, "limit = 0"),
    ],
)
def test_bad_input_writes_nothing(evaluate, tmp_path, changes, message):
    with pytest.raises(CodaxError, match=message):
        evaluate(**{"out": tmp_path / "out", **changes})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_earlier_results_survive_a_failure_and_are_replaced_by_a_success(evaluate, codec, tmp_path):
    out = tmp_path / "out"
    evaluate(metrics=("snr",), out=out)
    (out / "notes.txt").write_text("mine")
    before = (out / "results.json").read_bytes()
    working = codec.encode
    codec.encode = lambda *_, **__: (_ for _ in ()).throw(CodaxError("broken model"))
    with pytest.raises(CodaxError, match=r"no signal could be coded; clip0.*broken model"):
        evaluate(metrics=("snr",), baselines=(), out=out)
    assert (out / "results.json").read_bytes() == before
    assert (out / "audio" / "opus_12kbps").is_dir()
    codec.encode = working
    evaluate(metrics=("snr",), baselines=(), out=out)
    assert (out / "results.json").read_bytes() != before
    assert not (out / "audio" / "opus_12kbps").exists()  # the audio belongs to the results beside it
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "out"]


def test_out_is_a_file(evaluate, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CodaxError, match="is a file"):
        evaluate(out=tmp_path / "file", metrics=("snr",))


def test_table(evaluate):
    text = table.format_table(evaluate(metrics=("snr", "wer")))
    lines = text.splitlines()
    assert "3 utterances" in lines[0]
    assert lines[1].split()[:3] == ["system", "kbps", "file"]
    assert any(line.startswith("fake 64 kbps") and "33.3" in line for line in lines)
    assert max(map(len, lines)) < 160


def test_names_of_the_registry():
    assert {key for keys in registry.NAMES.values() for key in keys} == set(registry.VALUES)
    assert set(registry.DEFAULT) <= set(registry.NAMES)
    assert registry.select(["SI-SDR"]).keys == ("si_sdr",)
    selection = registry.select(["nsim", "visqol"])
    assert len(selection.measures) == 1  # one computation for all of them
    assert selection.keys == ("visqol", "visqol_exponential", "nsim")
    assert not selection.text
