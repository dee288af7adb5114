"""What `build` makes and what it refuses."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from codax.errors import CodaxError
from codax.listening.build import Plan, build
from codax.listening.loudness import integrated_loudness
from codax.listening.material import Rules
from excerpts import RATE, excerpt, systems_of


def make(material: Path, out: Path, plan: Plan | None = None, rules: Rules | None = None, **more: Path):
    return build(material / "ref", systems_of(material) | more, out, plan or Plan(), rules or Rules())


def audio_in(page: str) -> dict[str, bytes]:
    actual = re.findall(r'<script type="text/plain" id="audio-([0-9a-f]{8})">([A-Za-z0-9+/=]+)</script>', page)
    return {blind: base64.b64decode(text) for blind, text in actual}


def test_page_and_manifest(built):
    assert sorted(path.name for path in built.iterdir()) == ["index.html", "manifest.json"]
    manifest = json.loads((built / "manifest.json").read_text())
    page = (built / "index.html").read_text()
    assert manifest["files"] == {"index.html": hashlib.sha256(page.encode()).hexdigest()}
    audio = audio_in(page)
    for trial in manifest["trials"]:
        names = [entry["name"] for entry in trial["signals"]]
        assert sorted(names) == ["anchor35", "anchor70", "reference", "secretone", "secrettwo"]
        for entry in trial["signals"]:
            assert hashlib.sha256(audio[entry["id"]]).hexdigest() == entry["sha256"]
            assert audio[entry["id"]][:4] == b"RIFF"
        hidden = trial["signals"][names.index("reference")]["id"]
        assert hidden != trial["reference"]
        assert audio[hidden] == audio[trial["reference"]]
    assert len(audio) == 5 * 6


def test_page_is_blind_and_fetches_nothing(built, material):
    page = re.sub(r'<script type="text/plain".*?</script>', "", (built / "index.html").read_text())
    for word in ("secret", "item0", "anchor35", "anchor70", ".wav", str(material), material.name):
        assert word not in page
    assert not re.search(r"https?://|//[a-z]+\.", page)
    assert "default-src 'none'" in page
    # Neither ids nor places tell: over the trials the hidden reference stands at several places.
    content = json.loads(re.search(r'id="content">(.*?)</script>', page)[1])  # pyright: ignore[reportOptionalSubscript]
    manifest = json.loads((built / "manifest.json").read_text())
    hidden = {e["id"] for t in manifest["trials"] for e in t["signals"] if e["name"] == "reference"}
    places = {trial["signals"].index(*hidden & set(trial["signals"])) for trial in content["trials"]}
    assert len(places) > 1
    assert content["test"] == manifest["test"]


def test_seed_decides_everything(material, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make(material, tmp_path / name, Plan(seed=seed))
    for file in ("index.html", "manifest.json"):
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b
        assert a != c


def test_side_folder(material, tmp_path):
    make(material, tmp_path / "a", Plan())
    make(material, tmp_path / "b", Plan(embed=False))
    embedded = audio_in((tmp_path / "a" / "index.html").read_text())
    assert audio_in((tmp_path / "b" / "index.html").read_text()) == {}
    files = {path.stem: path.read_text() for path in (tmp_path / "b" / "audio").iterdir()}
    assert files.keys() == embedded.keys()
    for blind, text in files.items():
        assert text == f'codaxAudio("{blind}","{base64.b64encode(embedded[blind]).decode()}");\n'
    assert len(json.loads((tmp_path / "b" / "manifest.json").read_text())["files"]) == 31


def test_choice_of_items(material, tmp_path):
    built = make(material, tmp_path / "a", Plan(items=2, training=2))
    assert len(built.manifest["trials"]) == 2
    assert "2 items: BS.1534-3 asks for at least 5" in built.warnings


def test_abx(material, tmp_path):
    built = make(material, tmp_path / "a", Plan(kind="abx", repeats=4))
    trials = built.manifest["trials"]
    assert len(trials) == 5 * 2 * 4
    audio = audio_in((tmp_path / "a" / "index.html").read_text())
    for trial in trials:
        a, b = trial["signals"]
        assert (a["name"], b["name"]) == ("reference", trial["system"])
        assert audio[trial["hidden"]] == audio[{"a": a, "b": b}[trial["x"]]["id"]]
    for system in ("secretone", "secrettwo"):
        for item in range(5):
            xs = [t["x"] for t in trials if t["system"] == system and t["item"] == f"item{item}"]
            assert sorted(xs) == ["a", "a", "b", "b"]
    page = (tmp_path / "a" / "index.html").read_text()
    assert '"x":' not in page
    assert "secret" not in re.sub(r'<script type="text/plain".*?</script>', "", page)


def rewrite(path: Path, change) -> None:
    audio, rate = soundfile.read(path)
    soundfile.write(path, change(audio), rate)


def test_small_differences_of_length_are_evened_out(material, tmp_path):
    rewrite(material / "secretone" / "item0.wav", lambda x: x[:-1600])
    rewrite(material / "secrettwo" / "item1.wav", lambda x: np.append(x, np.zeros(1600)))
    built = make(material, tmp_path / "a")
    assert [line.rsplit("/", 2)[-2:] for line in built.warnings] == [
        ["secretone", "item0.wav: 1600 samples of silence added to its end"],
        ["secrettwo", "item1.wav: 1600 samples cut from its end"],
    ]
    audio = audio_in((tmp_path / "a" / "index.html").read_text())
    assert {len(data) for data in audio.values()} == {44 + 2 * RATE}


def test_peaks_beyond_full_scale_turn_the_whole_trial_down(material, tmp_path):
    for system in ("ref", "secretone", "secrettwo"):
        audio, rate = soundfile.read(material / system / "item2.wav")
        loud = (audio * 2.0 / np.abs(audio).max()).astype(np.float32)
        soundfile.write(material / system / "item2.wav", loud, rate, subtype="FLOAT")
    built = make(material, tmp_path / "a")
    trial = built.manifest["trials"][2]
    assert trial["gain_db"] == pytest.approx(-6.0, abs=0.3)
    assert any("item2.wav" in line and "the whole trial is attenuated by" in line for line in built.warnings)
    levels = [entry["lufs"] for entry in trial["signals"] if not entry["name"].startswith("anchor")]
    assert max(levels) - min(levels) < 0.2


def test_loudness(material, tmp_path):
    rewrite(material / "secretone" / "item3.wav", lambda x: x * 10 ** (-1 / 20))
    with pytest.raises(CodaxError, match=r"secretone/item3.wav: \d\.\d\d LU softer than the reference; at most 0.5"):
        make(material, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    make(material, tmp_path / "b", rules=Rules(tolerance=1.5))
    built = make(material, tmp_path / "c", rules=Rules(match=True))
    assert "compensated" in built.warnings[0]
    names = {entry["name"]: entry for entry in built.manifest["trials"][3]["signals"]}
    assert names["secretone"]["gain_db"] == pytest.approx(1, abs=0.02)
    assert names["secretone"]["lufs"] == pytest.approx(names["reference"]["lufs"], abs=0.01)


def spoil(path: Path, *, rate: int = RATE, channels: int = 1, seconds: float = 1.0, gain: float = 1.0) -> None:
    audio = gain * excerpt(0, rate=rate, seconds=seconds)
    soundfile.write(path, np.repeat(audio[:, None], channels, axis=1), rate)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"rate": 24_000}, r"secretone/item0.wav: 24000 Hz, but .*ref/item0.wav has 16000 Hz"),
        ({"channels": 2}, r"secretone/item0.wav: 2 channels, but .*ref/item0.wav has 1"),
        ({"seconds": 1.2}, r"secretone/item0.wav: 200 ms longer than .*ref/item0.wav; at most 100 ms"),
        ({"gain": 0.0}, r"secretone/item0.wav: is silent, and the reference is not"),
    ],
)
def test_signals_that_do_not_fit(material, tmp_path, what, message):
    spoil(material / "secretone" / "item0.wav", **what)
    with pytest.raises(CodaxError, match=message):
        make(material, tmp_path / "a")
    assert list(tmp_path.iterdir()) == [material]


def test_other_errors(material, tmp_path):
    out = tmp_path / "a"
    with pytest.raises(CodaxError, match="nowhere: is not a folder"):
        make(material, out, more=tmp_path / "nowhere")
    with pytest.raises(CodaxError, match="this name is reserved for the anchor35 of every trial"):
        make(material, out, Anchor35=material / "ref")
    with pytest.raises(CodaxError, match="10 systems make 13 signals per trial .*; BS.1534-3 allows 12"):
        make(material, out, **{f"s{i}": material / "ref" for i in range(8)})
    with pytest.raises(CodaxError, match="--training 6: the test has 5 items"):
        make(material, out, Plan(training=6))
    with pytest.raises(CodaxError, match="--title: names system secretone"):
        make(material, out, Plan(title="Is SecretOne good"))
    (material / "secrettwo" / "item4.wav").unlink()
    with pytest.raises(CodaxError, match="secrettwo: system secrettwo lacks item item4"):
        make(material, out)
    assert list(tmp_path.iterdir()) == [material]


def test_rate_too_low_for_the_anchor(tmp_path):
    for folder in ("ref", "secretone", "secrettwo"):
        (tmp_path / folder).mkdir()
        spoil(tmp_path / folder / "item0.wav", rate=12_000)
    with pytest.raises(CodaxError, match=r"ref/item0.wav: 12000 Hz is too low for the 7 kHz anchor"):
        make(tmp_path, tmp_path / "a")


def test_loudness_of_the_material():
    levels = [integrated_loudness(excerpt(seed)[:, None], RATE) for seed in range(5)]
    assert max(levels) - min(levels) < 3
