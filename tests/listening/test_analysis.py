"""Results in, figures out: known listeners give known numbers, foreign files are refused."""

import csv
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from codax.cli import main as cli
from codax.errors import CodaxError
from codax.listening import plots
from codax.listening.analysis import analyze, overall_summary
from codax.listening.build import Plan, build
from codax.listening.manifest import read_manifest
from codax.listening.material import Rules
from excerpts import result_of, systems_of
from mutations import mutated
from typer.testing import CliRunner

SCORES = {"reference": 100.0, "anchor35": 20.0, "anchor70": 40.0, "secretone": 80.0, "secrettwo": 60.0}


def run(*arguments: object):
    return CliRunner().invoke(cli.app, ["mushra", *map(str, arguments)])


def panel(built: Path, folder: Path) -> list[Path]:
    """Three good listeners, who hear the first system at 80, 84 and 88; the fourth takes the anchor for the best."""
    folder.mkdir(exist_ok=True)
    results = [
        result_of(built, n, SCORES | {"secretone": 76.0 + 4 * n}, folder / f"{n}.json", item2={"secrettwo": 70.0})
        for n in (1, 2, 3)
    ]
    deaf = SCORES | {"anchor70": 99.0, "reference": 60.0}
    return [*results, result_of(built, 4, deaf, folder / "4.json")]


def test_known_numbers(built, tmp_path):
    manifest = read_manifest(built / "manifest.json")
    analysis = analyze(panel(built, tmp_path / "r"), manifest, tmp_path / "out", screening="usac")
    assert [entry.listener for entry in analysis.dropped] == ["4"]
    assert list(analysis.overall) == ["reference", "secretone", "secrettwo", "anchor70", "anchor35"]
    first, second = analysis.overall["secretone"], analysis.overall["secrettwo"]
    assert (first.n, first.median, first.q1, first.q3, first.mean) == (15, 84, 80, 88, 84)
    # Listeners' means 80, 84, 88: deviation 4, t(0.975, 2) = 4.302653
    half = 4.302653 * 4 / 3**0.5
    assert (first.low, first.high) == pytest.approx((84 - half, 84 + half), abs=1e-4)
    assert (second.mean, second.low, second.high) == (62, 62, 62)
    # Means of three of the three means: 80 with chance 1/27 = 3.7 %, which is more than the 2.5 % below the interval.
    assert (first.bootstrap_low, first.bootstrap_high) == (80, 88)
    content = json.loads((tmp_path / "out" / "analysis.json").read_text())
    systems = {system["name"]: system for system in content["systems"]}
    assert systems["secrettwo"]["items"]["item2"]["mean"] == 70
    assert systems["secretone"]["items"]["item0"]["median"] == 84
    comparisons = {(c["first"], c["second"]): c for c in content["comparisons"]}
    assert len(comparisons) == 3
    pair = comparisons["secretone", "secrettwo"]
    assert (pair["pairs"], pair["difference"]) == (15, 22)
    assert pair["p"] == pytest.approx(1 / 10_001, abs=3e-4)  # 2 of 2^15 flips
    assert pair["adjusted"] >= pair["p"]
    # The differences are 5 times 20 - 2, 24 - 2 ... for each listener, but for item2, which is 10 lower.
    spread = np.std([n + (-10 if item == 2 else 0) for n in (20, 24, 28) for item in range(5)], ddof=1)
    assert pair["detectable"] == pytest.approx((2.144787 + 0.867945) * spread / 15**0.5, rel=1e-3)  # t(0.975), t(0.8)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["analysis.json", "boxplot.png", "mushra.csv", "report.html"]
    assert (tmp_path / "out" / "boxplot.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_again(built, tmp_path):
    manifest, results = read_manifest(built / "manifest.json"), panel(built, tmp_path / "r")
    for name in "ab":
        analyze(results, manifest, tmp_path / name, screening="none")
    for file in ("analysis.json", "mushra.csv", "boxplot.png", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_webmushra_csv_comes_back(built, tmp_path):
    manifest = read_manifest(built / "manifest.json")
    first = analyze(panel(built, tmp_path / "r"), manifest, tmp_path / "a", screening="none")
    with (tmp_path / "a" / "mushra.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("session_test_id", "listener", "playback", "session_uuid", "trial_id"),
        *("rating_stimulus", "rating_score", "rating_time", "rating_comment"),
    ]
    assert len(rows) == 4 * 5 * 5
    assert {row["rating_stimulus"] for row in rows} == set(SCORES)
    assert rows[0]["rating_time"] == "12500"
    second = analyze([tmp_path / "a" / "mushra.csv"], manifest, tmp_path / "b", screening="none")
    assert second.overall == first.overall
    assert second.comparisons == first.comparisons
    assert (tmp_path / "b" / "mushra.csv").read_bytes() == (tmp_path / "a" / "mushra.csv").read_bytes()


def test_one_session_in_two_files_counts_once(built, tmp_path):
    manifest = read_manifest(built / "manifest.json")
    whole = result_of(built, 1, SCORES, tmp_path / "whole.json")
    content = json.loads(whole.read_text())
    content["trials"] = content["trials"][:2]
    (tmp_path / "part.json").write_text(json.dumps(content))
    analysis = analyze([tmp_path / "part.json", whole], manifest, tmp_path / "out")
    assert analysis.overall["reference"].n == 5
    assert analysis.notes == [f"{whole}: the same session as {tmp_path / 'part.json'}; counted once, from {whole}"]
    analysis = analyze([tmp_path / "part.json"], manifest, tmp_path / "out")
    assert analysis.notes == [f"{tmp_path / 'part.json'}: 2 of 5 trials"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(test="0123"), r"r.json: belongs to test 0123, but .*manifest.json is of test [0-9a-f]{16}"),
        (lambda c: c.update(format="x"), "r.json: is not a result of a listening test"),
        (lambda c: c.update(version=9), "r.json: version 9 of the result; this program reads 1"),
        (lambda c: c["trials"][0].update(trial="zz"), "r.json: unknown trial zz"),
        (lambda c: c["trials"][0]["ratings"][0].update(signal="zz"), "r.json: unknown signal zz in trial"),
        (lambda c: c["trials"][0]["ratings"][0].update(score=101), "r.json: score 101 of signal"),
        (lambda c: c["trials"][0]["ratings"][0].update(score=None), "r.json: score None of signal"),
        (lambda c: c["trials"][0]["ratings"].pop(), "lacks a rating of 1 signals"),
        (lambda c: c["trials"].append(c["trials"][0]), "is rated twice by session session-1"),
        (lambda c: c["trials"][0].pop("ratings"), "r.json: damaged result"),
        (lambda c: c.update(trials=[]), "no result holds a finished trial"),
    ],
)
def test_foreign_results(built, tmp_path, change, message):
    path = result_of(built, 1, SCORES, tmp_path / "r.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CodaxError, match=message):
        analyze([path], read_manifest(built / "manifest.json"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "is not a result of a listening test: no column session_test_id"),
        ("\x00\x01", "is not a result of a listening test"),
        ("{", "is not JSON"),
        ("", "is not a result of a listening test"),
    ],
)
def test_files_that_are_no_results(built, tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(CodaxError, match=f"x.csv: {message}"):
        analyze([tmp_path / "x.csv"], read_manifest(built / "manifest.json"), tmp_path / "out")


def test_damaged_files_are_refused_or_read(built, tmp_path):
    """Whatever happens to a result or a manifest, the user gets an analysis or one line."""
    manifest = built / "manifest.json"
    result = result_of(built, 1, SCORES, tmp_path / "r.json")
    analyze([result], read_manifest(manifest), tmp_path / "out", screening="none")
    table = tmp_path / "out" / "mushra.csv"
    rng, refused = np.random.default_rng(0), 0
    for source in [result, manifest, table] * 40:
        damaged = tmp_path / f"damaged{source.suffix}"
        damaged.write_bytes(mutated(source.read_bytes(), rng))
        key = damaged if source is manifest else manifest
        try:
            analyze([result if source is manifest else damaged], read_manifest(key), tmp_path / "b", screening="none")
        except CodaxError as error:
            assert str(tmp_path) in str(error) or "no result" in str(error)
            refused += 1
    assert refused > 40
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"format": NaN}'):
        (tmp_path / "deep.json").write_text(text)
        with pytest.raises(CodaxError, match="deep.json: "):
            read_manifest(tmp_path / "deep.json")
        with pytest.raises(CodaxError, match="deep.json: "):
            analyze([tmp_path / "deep.json"], read_manifest(manifest), tmp_path / "b")


def test_times_that_make_no_sense_are_no_matter(built, tmp_path):
    path = result_of(built, 1, SCORES, tmp_path / "r.json")
    for seconds in ("1e99", '"x"', "null", "-5"):
        (tmp_path / "s.json").write_text(path.read_text().replace('"seconds": 12.5', f'"seconds": {seconds}'))
        analyze([tmp_path / "s.json"], read_manifest(built / "manifest.json"), tmp_path / "out")
        with (tmp_path / "out" / "mushra.csv").open(newline="") as file:
            assert {row["rating_time"] for row in csv.DictReader(file)} == {"0"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seconds": 12.5', '"seconds": NaN', "'seconds': NaN is not a number of JSON"),
        ('"seconds": 12.5', '"seconds": 1e999', "'seconds': the number 1e999 is too large"),
        ('"seconds": 12.5', f'"seconds": {"9" * 5000}', "'seconds': a number of more than 100 characters"),
        ('"comment": "', '"comment": "\\ud800', "a lone surrogate"),
        ('"version": 1', '"version": 1, "version": 1', "'version' occurs twice"),
    ],
)
def test_forged_results_are_refused(built, tmp_path, old, new, message):
    path = result_of(built, 1, SCORES, tmp_path / "r.json")
    forged = path.read_text().replace(old, new)
    assert forged != path.read_text()
    path.write_text(forged)
    with pytest.raises(CodaxError, match=rf"r\.json: is not JSON \(.*{message}"):
        analyze([path], read_manifest(built / "manifest.json"), tmp_path / "out")


def test_names_of_listeners_that_are_long_numbers(built, tmp_path):
    paths = [result_of(built, 1, SCORES, tmp_path / "r.json"), result_of(built, 2, SCORES, tmp_path / "s.json")]
    values = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps(values | {"listener": "9" * 5000}))
    analyze(paths, read_manifest(built / "manifest.json"), tmp_path / "out")


def test_rule_that_leaves_nobody(built, tmp_path):
    path = result_of(built, 1, SCORES | {"reference": 50.0}, tmp_path / "r.json")
    with pytest.raises(
        CodaxError, match="--screening bs1534: drops all 1 listeners; 1: hidden reference below 90 in 5"
    ):
        analyze([path], read_manifest(built / "manifest.json"), tmp_path / "out")


def test_manifests_that_are_none(built, tmp_path):
    (tmp_path / "m.json").write_text("{}")
    with pytest.raises(CodaxError, match="m.json: is not a manifest of `codax mushra build`"):
        read_manifest(tmp_path / "m.json")
    content = json.loads((built / "manifest.json").read_text())
    content.pop("trials")
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CodaxError, match="m.json: damaged manifest"):
        read_manifest(tmp_path / "m.json")


def test_abx(material, tmp_path):
    build(material / "ref", systems_of(material), tmp_path / "abx", Plan(kind="abx", repeats=2), Rules())
    manifest = json.loads((tmp_path / "abx" / "manifest.json").read_text())
    other = {"a": "b", "b": "a"}
    trials = []
    for trial in manifest["trials"]:
        right = trial["system"] == "secrettwo" or trial["item"] in ("item0", "item1")  # 10 of 10, and 4 of 10
        answer = trial["x"] if right else other[trial["x"]]
        trials.append({"trial": trial["id"], "comment": "", "seconds": 3, "answer": answer})
    content = {
        "format": "codax-listening-result",
        "version": 1,
        "test": manifest["test"],
        "session": "s",
        "listener": 1,
    }
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content | {"questionnaire": {}, "trials": trials}))
    analysis = analyze([path], read_manifest(tmp_path / "abx" / "manifest.json"), tmp_path / "out")
    actual = {result.system: result for result in analysis.abx}
    assert (actual["secrettwo"].correct, actual["secrettwo"].trials, actual["secrettwo"].p) == (10, 10, 1 / 1024)
    assert (actual["secretone"].correct, actual["secretone"].p) == (4, pytest.approx(848 / 1024))
    assert actual["secrettwo"].adjusted == 2 / 1024
    assert actual["secretone"].listeners == {"1": (4, 10)}
    idle = run("analyze", path, "--manifest", tmp_path / "abx" / "manifest.json", "--out", tmp_path / "b", "--seed", 3)
    assert "--seed has no effect without the manifest of a MUSHRA test" in str(idle.exception)


def test_commands(material, tmp_path):
    systems = [f"{name}={folder}" for name, folder in systems_of(material).items()]
    result = run("build", "--reference", material / "ref", "--systems", *systems, "--out", tmp_path / "t", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "5 trials, 2 systems" in result.stdout
    results = panel(tmp_path / "t", tmp_path / "r")
    manifest = tmp_path / "t" / "manifest.json"
    result = run("analyze", *results, "--manifest", manifest, "--out", tmp_path / "a", "--screening", "encodec")
    assert result.exit_code == 0, result.output
    assert "3 of 4 listeners count (screening: encodec)" in result.stdout
    assert "dropped 4: hidden reference below 90 in 5 of 5 trials, at least 20 %" in result.stdout
    assert "secretone - secrettwo" in result.stdout
    # No column is empty: that of the distribution appears when there is a bimodal one.
    assert "distribution" in result.stdout and result.stdout.count("bimodal (") == 1  # item2 of secrettwo
    equal = result_of(tmp_path / "t", 1, SCORES, tmp_path / "1.json")
    result = run("analyze", equal, "--manifest", manifest, "--out", tmp_path / "b")
    assert "95 % interval" in result.stdout and "distribution" not in result.stdout


def test_evaluation_folder(material, tmp_path):
    audio = tmp_path / "evaluation" / "audio"
    audio.parent.mkdir()
    material.rename(audio)
    (audio / "ref").rename(audio / "original")
    rates = {"original": None, "secretone": {"mean": 6105.9}, "secrettwo": None}
    facts = {"systems": [{"key": key, "bits_per_second": rate} for key, rate in rates.items()]}
    (tmp_path / "evaluation" / "results.json").write_text(json.dumps(facts))
    result = run("build", "--evaluation", tmp_path / "evaluation", "--out", tmp_path / "t")
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "t" / "manifest.json").read_text())
    assert manifest["systems"] == ["secretone", "secrettwo"]
    assert manifest["kbps"] == {"secretone": 6.1059}
    known = read_manifest(tmp_path / "t" / "manifest.json")
    result = result_of(tmp_path / "t", 1, SCORES, tmp_path / "1.json")
    analyze([result], known, tmp_path / "a", screening="none")
    assert (tmp_path / "a" / "rate_score.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "a" / "report.html").read_text()  # it has its plots in itself
    assert page.count("<svg ") == 2 and not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "secretone has the highest median of 2 systems: 80.0" in page
    (tmp_path / "evaluation" / "results.json").write_text("{")
    result = run("build", "--evaluation", tmp_path / "evaluation", "--out", tmp_path / "t")
    assert "results.json: not a readable table of results" in str(result.exception)


def test_single_outliers_are_listed_and_count(built, tmp_path):
    results = [result_of(built, n, SCORES, tmp_path / f"{n}.json") for n in range(1, 6)]
    results.append(result_of(built, 6, SCORES, tmp_path / "6.json", item1={"secretone": 5.0}))
    analysis = analyze(results, read_manifest(built / "manifest.json"), tmp_path / "out")
    assert analysis.content["outliers"] == [{"listener": "6", "item": "item1", "stimulus": "secretone", "score": 5.0}]
    assert analysis.overall["secretone"].n == 30


def test_a_mean_over_incomplete_sessions_lies_in_its_interval():
    def trial(score):
        return {"system": score}

    scores = {f"whole {n}": {f"item{i}": trial(90.0) for i in range(10)} for n in range(2)}
    scores |= {f"part {n}": {"item0": trial(51.0 + n)} for n in range(10)}
    summary = overall_summary(scores, "system")
    assert summary.n == 30 and summary.mean == pytest.approx((2 * 90 + 55.5 * 10) / 12)
    assert summary.low < summary.mean < summary.high
    plots.rate_plot({"system": 6.0}, {"system": summary})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "codax: --reference: give the folder of the originals, or --evaluation DIR\n"),
        (["--reference", "nowhere"], "codax: no system to rate: give --systems NAME=DIR or --evaluation DIR\n"),
        (["--reference", "nowhere", "--systems", "x"], "codax: --systems x: must be NAME=DIR\n"),
        (["--reference", "nowhere", "--systems", "x=y"], "codax: nowhere: is not a folder\n"),
        (["--repeats", "2"], "codax: --repeats has no effect without --kind abx\n"),
        (["--evaluation", "nowhere"], "codax: nowhere: holds no audio/original; give the folder that eval.py wrote"),
    ],
)
def test_error_lines(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["codax", "mushra", "build", "--out", "t", *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["a$_$", "$", "\\$b$\\frac$", "_hidden", "</svg><script>", "\u4e2d\u6587", "\u05e9\u05dc\u05d5\u05dd", "x" * 300],
)
def test_any_name_of_a_system_is_shown_as_it_is(material, tmp_path, name, recwarn):
    build(material / "ref", {name: material / "secretone"}, tmp_path / "test", Plan(), Rules(), kbps={name: 3.0})
    scores = {"reference": 100.0, "anchor35": 20.0, "anchor70": 40.0, name: 80.0}
    results = [result_of(tmp_path / "test", n, scores, tmp_path / f"{n}.json") for n in (1, 2)]
    analyze(results, read_manifest(tmp_path / "test" / "manifest.json"), tmp_path / "out", screening="none")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count(html.escape(name, quote=False)) >= 4 and "<script" not in page  # two plots, verdict, tables
    assert [str(warning.message) for warning in recwarn] == []
