"""Decoded signals that cannot be measured count with the floor of the metric, and partial means say so everywhere."""

import csv
import io
import json

import numpy as np
import pytest
from codax import audio
from codax.data.sources.spec import load_utterances
from codax.errors import CodaxError
from codax.evaluation import comparisons, plots, report, runner, table
from codax.evaluation.measuring import measure
from codax.evaluation.recognition import TextScorer
from codax.evaluation.systems import Original, Output
from codax.metrics import opinions, registry
from codax.metrics.registry import Measure, Value

pytest.importorskip("jiwer")
pytest.importorskip("visqol")


class Broken:
    """A system that gives silence, values that are not finite, or an error."""

    key = label = series = description = "broken"
    kind = "baseline"
    kbps = quantizers = None

    def __init__(self, factor: float, frame_rate: float | None = None) -> None:
        self._factor, self.frame_rate = factor, frame_rate

    def __call__(self, signal, rate):
        return Output(np.full_like(signal, self._factor), 100, 50)


@pytest.fixture
def utterance(folder):
    return load_utterances(str(folder), split="test", sample_rate=16_000)[0]


def _installed() -> list[str]:
    """The metrics of two signals whose packages are installed."""
    names = []
    for name in registry.NAMES.keys() - opinions.NAMES.keys():  # whose packages would download their weights
        try:
            if any("frame_rate" not in measure.needs for measure in registry.select([name]).measures):
                names.append(name)
        except CodaxError:
            continue
    return names


@pytest.mark.parametrize("factor", [0.0, np.nan, np.inf])
def test_every_metric_has_a_value_no_better_than_that_of_the_original(utterance, recognizer, factor):
    selection = registry.select([*_installed(), "wer"])
    scorer = TextScorer(recognizer)
    original, broken = measure(utterance, "x", [Original(), Broken(factor)], selection, scorer, None).rows
    assert not original.errors and not original.floored
    for key in selection.keys:
        value, best = broken.value(key), original.value(key)
        assert value is not None and np.isfinite(value) and best is not None, key
        better = registry.VALUES[key].better
        assert better != "higher" or value <= best, key
        assert better != "lower" or value >= best, key
    assert {"nsim", "visqol"} <= set(broken.floored)
    if not np.isfinite(factor):
        assert set(broken.floored) == set(selection.keys)
        assert broken.errors["audio"] == "the decoded audio holds values that are not finite: it counts as silence"


def test_registered_metrics_state_their_floor(utterance, monkeypatch):
    def fragile(reference, degraded, rate):
        if not degraded.any():
            raise ValueError("silent")
        return {"declared": 1.0, "nan": np.nan if np.ptp(degraded) == 0 else 1.0}

    monkeypatch.setattr(registry, "MEASURES", [])
    monkeypatch.setattr(registry, "VALUES", {})
    monkeypatch.setattr(registry, "NAMES", {})
    values = Value("declared", "Declared", "higher", "", floor=-5.0), Value("nan", "NaN", "higher", "")
    registry.register("fragile", Measure(values, fragile))
    selection = registry.select(["fragile"])
    rows = [measure(utterance, "x", [Original(), Broken(x)], selection, None, None).rows[1] for x in (0.0, 0.5)]
    assert rows[0].scores == {"declared": -5.0} and rows[0].floored == ["declared"]
    assert rows[0].errors["declared"] == "ValueError: silent; counts as -5, the floor"
    assert rows[0].errors["nan"] == "ValueError: silent"  # silence has no value either
    assert rows[1].scores == {"declared": 1.0} and rows[1].errors == {"nan": "NaN is not a finite number"}


def test_the_comb_has_its_floor_where_the_original_has_a_pause_of_the_frame_rate(tmp_path):
    sound = 0.2 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    sound[4000:8800] *= 1e-3  # 0.3 s
    audio.write(tmp_path / "x.wav", sound, 16_000)
    utterance = load_utterances(str(tmp_path), split="test", sample_rate=16_000)[0]
    systems = [Original(), Broken(np.nan, 100.0), Broken(np.nan, 12.5), Broken(0.0, 100.0), Broken(np.nan)]
    rows = measure(utterance, "x", systems, registry.select(["comb"]), None, None).rows
    assert [row.floored for row in rows] == [[], ["comb"], [], [], []]
    assert rows[1].scores == {"comb": 60.0} and abs(rows[3].scores["comb"]) < 1  # silence has no lines
    assert [row.scores for row in (rows[0], rows[2], rows[4])] == [{}, {}, {}]  # a window at 12.5 Hz has 0.32 s


@pytest.fixture
def silent_once(codec, folder):
    """The codec; its coarse rate gives silence for the last of three files, and its fine rate fails for the first."""
    decode, encode, seen = codec.decode, codec.encode, []

    def encode_or_fail(signals, *, sample_rate, kbps):
        seen.append(signals.shape[1])
        if kbps == 128.0 and len(set(seen)) == 1:
            raise CodaxError("device lost")
        return encode(signals, sample_rate=sample_rate, kbps=kbps)

    def decode_or_silence(tokens):
        decoded = decode(tokens)
        return decoded * (tokens.codes.shape[2] == 2 or len(set(seen)) < 3)

    codec.encode, codec.decode = encode_or_fail, decode_or_silence
    return codec


@pytest.fixture
def results(silent_once, folder, recognizer, tmp_path):
    names = ("nsim", "level", "wer", "codebooks")
    return runner.evaluate(silent_once, str(folder), tmp_path / "out", metrics=names, asr=recognizer)


def test_means_have_the_worst_and_say_what_they_are_of(results, tmp_path):
    original, coarse, fine = results.systems
    assert original.metrics["nsim"].note == ""
    scores = [row.scores["nsim"] for row in results.rows if row.system == coarse.key]
    assert scores[2] == 0 and coarse.metrics["nsim"].mean == pytest.approx(np.mean(scores))
    assert coarse.metrics["nsim"].note == "1 at the floor"
    assert coarse.metrics["level"].note == "" and coarse.metrics["level"].mean < -30  # silence has a level
    for key in ("nsim", "level", "wer", "codebook_use"):
        assert fine.metrics[key].note == "2 of 3"
    assert fine.bits_per_second.note == "2 of 3"

    text = table.format_table(results)
    assert text.count("(2 of 3)") >= 6 and text.count("(1 at the floor)") == 1
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    by_key = {system["key"]: system["metrics"] for system in document["systems"]}
    assert by_key[fine.key]["nsim"].items() >= {"n": 2, "of": 3, "note": "2 of 3"}.items()
    assert by_key[coarse.key]["nsim"].items() >= {"n": 3, "floored": 1, "note": "1 at the floor"}.items()
    assert "note" not in by_key["original"]["nsim"] and document["metrics"]["nsim"]["floor"] == 0
    assert any("counts as 0, the floor" in failure["reason"] for failure in document["failures"])

    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    assert [row["floored"] for row in rows if row["system"] == coarse.key] == ["", "", "nsim"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count(">2 of 3<") >= 6 and ">1 at the floor<" in page and ">floor</span>" in page
    assert "Floor: 0." in page and "the means exclude the others" in page


def test_comparisons_say_how_many_pairs_they_have(results):
    compared = {c.metric: c.difference for c in comparisons.compare(results)}
    assert compared["nsim"].note == "2 of 3, 1 at the floor" and compared["wer"].note == "2 of 3"
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(comparisons.to_csv(comparisons.compare(results))))}
    assert (rows["nsim"]["utterances"], rows["nsim"]["of"], rows["nsim"]["floored"]) == ("2", "3", "1")
    page = report.page(results, compared=comparisons.compare(results))
    assert ">2 of 3, 1 at the floor<" in page


def test_plots_say_it_beside_the_point(results, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, handles, path: figures.append(figure))
    plots.rate_quality(results, tmp_path / "x.png")
    notes = [text.get_text() for axes in figures[0].axes for text in axes.texts]
    assert "2 of 3" in notes and "1 at the floor" in notes


def test_a_signal_that_breaks_the_recogniser_has_no_words(codec, folder, recognizer):
    transcribe, calls = recognizer.transcribe, []

    def transcribe_or_fail(samples, language):
        calls.append(1)
        if len(np.unique(samples)) < 200:
            raise RuntimeError("no speech")
        return transcribe(samples, language)

    recognizer.transcribe = transcribe_or_fail
    results = runner.evaluate(codec, str(folder), None, metrics=("wer",), asr=recognizer)
    coarse = results.system("fake_64kbps")
    assert coarse.metrics["wer"].mean == 100 and coarse.metrics["wer"].note == "3 at the floor"
    assert coarse.counts["wer"].deletions == 9
    assert results.system("fake_128kbps").metrics["wer"].note == ""


def test_levels_by_hand(folder):
    signal = audio.read(folder / "clip0.wav")[0]
    compute = next(m for m in registry.MEASURES if m.values[0].key == "level").compute
    assert compute(signal, 0.5 * signal, 16_000)["level"] == pytest.approx(-6.0206)
    assert compute(signal, -2 * signal, 16_000)["level"] == pytest.approx(6.0206)
    assert compute(signal, 0 * signal, 16_000)["level"] == -100
    stereo = np.stack([np.ones(100), np.zeros(100)], axis=1)
    assert compute(stereo, stereo[:, ::-1], 16_000)["level"] == pytest.approx(0)
    with pytest.raises(CodaxError, match="the reference is silent"):
        compute(0 * signal, signal, 16_000)
