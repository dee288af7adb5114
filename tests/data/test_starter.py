"""The starter corpus, built of tiny packages made here."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from codax import audio
from codax.config import DataConfig
from codax.data import manifest, records
from codax.data.sources.spec import load_utterances, open_source
from codax.data.starter import corpus, debian, sentences, voices
from codax.errors import CodaxError
from codax.storage.digests import file_sha256
from typer.testing import CliRunner


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def deb(name: str, files: dict[str, bytes]) -> bytes:
    """A Debian package: an `ar` archive of a version, control data and files."""
    control = f"Package: {name}\nVersion: 1.0-1\nArchitecture: all\nMaintainer: x <x@y.invalid>\nDescription: x\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar({"./control": control.encode()}),
        "data.tar.gz": tar(files),
    }
    out = b"!<arch>\n"
    for member, data in members.items():
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def g722(seed: int, seconds: float, level: float = 0.3) -> bytes:
    rng = np.random.default_rng(seed)
    samples = audio.to_int16(rng.uniform(-level, level, (1, round(seconds * 16_000))))
    stream = io.BytesIO()
    with av.open(stream, "w", format="g722") as container:
        out = container.add_stream("g722", rate=16_000)
        out.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*out.encode(frame), *out.encode(None)]:
            container.mux(packet)
    return stream.getvalue()


def wav(seed: int, seconds: float) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * 16_000))
    soundfile.write(stream, samples, 16_000, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def packages() -> dict[str, bytes]:
    """All packages of the corpus, with few and short prompts."""
    made = {}
    listing = ["; remarks", "beep: [a tone]", "press: Press # or *. (simple)", "same-a: The same", "same-b: the same!"]
    for number, voice in enumerate(v for v in voices.VOICES if v.package.startswith("asterisk")):
        root = f"./usr/share/asterisk/sounds/{voice.language}_voice/"
        files = {f"./usr/share/doc/{voice.package}/copyright": b"CC BY-SA 3.0, text of the licence"}
        for i in range(12):
            files[f"{root}digits/{i}.g722"] = g722(100 * number + i, 1.6)
        files[f"{root}press.g722"] = g722(100 * number + 50, 1.0)
        files[f"{root}same-a.g722"] = g722(100 * number + 51, 1.6)
        files[f"{root}same-b.g722"] = g722(100 * number + 52, 1.6)
        files[f"{root}copy.g722"] = files[f"{root}digits/3.g722"]
        files[f"{root}beep.g722"] = g722(9, 1.0)
        files[f"{root}silence/1.g722"] = g722(9, 1.0, 0.0)
        files[f"{root}quiet.g722"] = g722(8, 1.0, 0.0)
        files[f"{root}a.g722"] = g722(7, 0.1)
        files[f"{root}is.g722"] = b""
        made[voice.package] = deb(voice.package, files)
    lines = [*listing, *(f"digits/{i}: number {i}" for i in range(11))]
    text = gzip.compress("\n".join(lines).encode())
    doc = "./usr/share/doc/asterisk-core-sounds-en/"
    made["asterisk-core-sounds-en"] = deb("asterisk-core-sounds-en", {f"{doc}core-sounds-en.txt.gz": text})
    root = "./usr/share/festival/voices/russian/voice/"
    files = {f"{root}wav/ru_{i:04d}.wav": wav(i, 2.0) for i in range(10)}
    files[f"{root}etc/txt.done.data"] = '( ru_0001 "+Окна  вол+ос." )\n( ru_0002 "Да" )\n'.encode()
    files["./usr/share/doc/festvox-ru/copyright"] = b"BSD-like"
    made["festvox-ru"] = deb("festvox-ru", files)
    return made


@pytest.fixture(scope="module")
def package_files() -> dict[str, bytes]:
    return packages()


@pytest.fixture
def fetch(package_files):
    """A stand-in for the download."""

    def fetch_from_here(names, folder: Path) -> list[debian.Package]:
        folder.mkdir(parents=True, exist_ok=True)
        actual = []
        for name in names:
            path = folder / f"{name}_1.0-1_all.deb"
            path.write_bytes(package_files[name])
            actual.append(debian.Package(name, "1.0-1", path, file_sha256(path)))
        return actual

    return fetch_from_here


def test_a_package_is_unpacked_with_and_without_dpkg(tmp_path, package_files):
    path = tmp_path / "festvox-ru.deb"
    path.write_bytes(package_files["festvox-ru"])
    debian.unpack(path, tmp_path / "a")
    debian.unpack_with_python(path, tmp_path / "b")
    names = [sorted(p.relative_to(tmp_path / x) for p in (tmp_path / x).rglob("*")) for x in "ab"]
    assert names[0] == names[1] and len(names[0]) > 15
    path.write_bytes(package_files["festvox-ru"][:5000])
    with pytest.raises(CodaxError, match=r"festvox-ru\.deb: cannot be unpacked"):
        debian.unpack(path, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_files_cannot_leave_the_folder(tmp_path):
    (tmp_path / "evil.deb").write_bytes(deb("evil", {"../../escaped": b"x"}))
    with pytest.raises(tarfile.TarError):
        debian.unpack_with_python(tmp_path / "evil.deb", tmp_path / "in" / "side")


def test_the_corpus(cache, fetch, caplog):
    path = corpus.build(16_000, fetch=fetch)
    assert path == cache / "starter" / "16000" / "manifest.jsonl"
    rows = manifest.read(path)
    by_id = {row["id"]: row for row in rows}
    assert {row["language"] for row in rows} == {"en", "es", "fr", "it", "ru"}
    assert by_id["en-press"]["text"] == "Press pound or star."
    assert by_id["ru-nsh-ru_0001"]["text"] == "Окна волос."
    assert not {"en-beep", "en-silence-1", "en-quiet", "en-a", "en-is"} & by_id.keys()
    # Identical recordings are kept once, the same words share a split, what is short or without text is not held out.
    assert len({row["sha256"] for row in rows}) == len(rows)
    assert ("en-copy" in by_id) != ("en-digits-3" in by_id)
    assert by_id["en-same-a"]["split"] == by_id["en-same-b"]["split"]
    assert by_id["en-press"]["split"] == by_id["en-digits-11"]["split"] == "train"
    facts = json.loads((path.parent / "build.json").read_text())
    assert {reason: len(ids) for reason, ids in facts["skipped"].items()} == {
        "not speech": 10,
        "silent": 5,
        "shorter than 0.3 s": 5,
        "unreadable or empty": 5,
        "duplicate": 5,
    }
    licences = (path.parent / "LICENSES.txt").read_text()
    assert "festvox-ru 1.0-1: BSD-like" in licences and "text of the licence" in licences
    assert "starter corpus: " in caplog.text and "10 not speech" in caplog.text
    assert not (cache / "starter" / "unpacked").exists()
    for row in rows:
        meta, pcm = records.open_shard(row["file"]).pcm(row["record"])
        assert meta["id"] == row["id"] and len(pcm) == row["frames"]


def test_it_is_built_once_and_goes_on_where_it_was_interrupted(cache, fetch, monkeypatch):
    decoded: list[str] = []
    load = corpus._load

    def count(recording):
        decoded.append(recording.id)
        if len(decoded) == 50:
            raise KeyboardInterrupt
        return load(recording)

    monkeypatch.setattr(corpus, "_load", count)
    with pytest.raises(KeyboardInterrupt):
        corpus.build(16_000, fetch=fetch)
    assert not list((cache / "starter").rglob("*.part"))
    first = set(decoded)
    corpus.build(16_000, fetch=fetch)
    repeated = decoded[50:]
    assert {i for i in first if i.startswith(("en-", "es-"))}.isdisjoint(repeated) and "ru-nsh-ru_0001" in repeated
    count_before = len(decoded)
    corpus.build(16_000, fetch=lambda *_: pytest.fail("downloaded again"))
    assert len(decoded) == count_before
    # A damaged shard is noticed by its checksum and made again, alone.
    shard = cache / "starter" / "16000" / "festvox-ru.array_record"
    shard.write_bytes(shard.read_bytes()[:-1000])
    corpus.build(16_000, fetch=fetch)
    assert {i[:6] for i in decoded[count_before:]} == {"ru-nsh"}


def test_the_same_at_24_khz(fetch, monkeypatch):
    low = manifest.read(corpus.build(16_000, fetch=fetch))
    path = corpus.build(24_000, fetch=fetch)
    high = manifest.read(path)
    assert [(r["id"], r["split"]) for r in high] == [(r["id"], r["split"]) for r in low]
    assert {r["sample_rate"] for r in high} == {24_000} and (path.parent / "LICENSES.txt").is_file()
    assert corpus.build(22_050).parent.name == "16000"
    expected = audio.resample(records.open_shard(low[5]["file"]).read(low[5]["record"]), 16_000, 24_000)
    np.testing.assert_allclose(records.open_shard(high[5]["file"]).read(high[5]["record"]), expected, atol=2e-5)


def test_the_corpus_as_a_source(fetch):
    corpus.build(16_000, fetch=fetch)
    sizes = {s: len(open_source("starter", sample_rate=16_000, split=s)) for s in ("train", "validation", "test")}
    assert sizes["train"] > 60 and sizes["test"] > 0
    russian = open_source("starter:ru", sample_rate=16_000, split="train")
    assert {e.language for e in russian} == {"ru"}
    with pytest.raises(CodaxError, match="no language 'de', only en, es, fr, it, ru"):
        open_source("starter:de", sample_rate=16_000)
    heard = load_utterances("starter", sample_rate=16_000)
    assert heard and {u.language for u in heard} == {"en"} and all(u.text and u.seconds >= 1.5 for u in heard)
    everything = load_utterances("starter:fr:train", sample_rate=8000)
    assert {u.language for u in everything} == {"fr"} and everything[0].audio.shape[1] == 1
    assert len(load_utterances("starter:ru", sample_rate=16_000)) < len(russian)


FAKE_APT = """#!/bin/sh
echo "$@" >> {log}
case "$1 $4" in
  "show "*) for last; do :; done; cat {packages}/$last.show 2>/dev/null || exit 100 ;;
  "update "*) mkdir -p {packages}; for f in {hidden}/*; do [ -e "$f" ] && mv "$f" {packages}/; done; exit 0 ;;
  "download "*) for a; do [ -e {packages}/$a.deb ] && cp {packages}/$a.deb ./${{a}}_1_all.deb && exit 0; done
     echo "E: Unable to fetch some archives"; exit 100 ;;
esac
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """A package client that knows one package `thing`; `hidden/` is what only fresh lists show."""
    tools, here, hidden = tmp_path / "bin", tmp_path / "packages", tmp_path / "hidden"
    for folder in (tools, here, hidden):
        folder.mkdir()
    for name in ("apt-get", "apt-cache"):
        (tools / name).write_text(FAKE_APT.format(log=tmp_path / "log", packages=here, hidden=hidden))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    data = deb("thing", {"./file": b"x"})
    (here / "thing.deb").write_bytes(data)
    checksum = file_sha256(here / "thing.deb")
    (here / "thing.show").write_text(f"Package: thing\nVersion: 1\nSize: {len(data)}\nSHA256: {checksum}\n")
    return tmp_path


def commands(apt: Path) -> list[str]:
    return [line.split()[0] for line in (apt / "log").read_text().splitlines()]


def test_packages_are_downloaded_once(apt):
    for _ in range(2):
        (package,) = debian.fetch(["thing"], apt / "cache")
        assert package.version == "1" and package.path == apt / "cache" / "thing_1_all.deb"
    assert commands(apt) == ["show", "download"]
    package.path.write_bytes(b"damaged")
    debian.fetch(["thing"], apt / "cache")
    assert commands(apt)[2:] == ["show", "download"]


def test_missing_lists_are_fetched_into_the_cache(apt):
    for path in (apt / "packages").iterdir():
        shutil.move(path, apt / "hidden")
    debian.fetch(["thing"], apt / "cache")
    assert commands(apt) == ["show", "update", "show", "download"]
    assert f"Dir::State={apt / 'cache' / 'apt' / 'state'}" in (apt / "log").read_text()


def test_stale_lists_are_renewed(apt):
    shutil.move(apt / "packages" / "thing.deb", apt / "hidden")
    debian.fetch(["thing"], apt / "cache")
    assert commands(apt) == ["show", "download", "update", "show", "download"]


def test_downloads_that_fail_are_one_clear_error(apt, monkeypatch):
    with pytest.raises(CodaxError, match="do not have other"):
        debian.fetch(["other"], apt / "cache")
    (apt / "packages" / "thing.deb").write_bytes(b"cut")
    with pytest.raises(CodaxError, match="thing: the download is incomplete or has the wrong checksum"):
        debian.fetch(["thing"], apt / "cache")
    (apt / "packages" / "thing.deb").unlink()
    with pytest.raises(CodaxError, match="'apt-get download' failed: Unable to fetch some archives"):
        debian.fetch(["thing"], apt / "cache")
    monkeypatch.setenv("PATH", str(apt))
    with pytest.raises(CodaxError, match="apt-get is not installed"):
        debian.fetch(["thing"], apt / "cache")


def test_without_a_client_a_voice_speaks_or_the_error_says_what_to_do(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "hibari", None)
    with pytest.raises(CodaxError, match=r"pip install hibari-tts"):
        corpus.build()
    spoken = [
        voices.Recording(f"hibari-{i}", text, lambda i=i: (np.full((48_000, 1), (i + 5) / 500), 24_000))
        for i, text in enumerate(sentences.generate(100))
    ]
    monkeypatch.setattr(voices, "synthesize", lambda: (spoken, "0.0"))
    rows = manifest.read(corpus.build())
    assert "hibari-tts" in caplog.text and len(rows) == 100 and {row["frames"] for row in rows} == {32_000}
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_sentences_are_fixed_and_different():
    assert sentences.generate(3) == sentences.generate(50)[:3]
    assert len(set(sentences.generate(1500))) == 1500


def test_the_command_line(tmp_path, fetch, make_audio):
    from codax.cli.data import data_app

    corpus.build(16_000, fetch=fetch)
    result = CliRunner().invoke(data_app, ["inspect", "starter:en", "--rows", "2"])
    assert result.exit_code == 0, result.output
    assert "language     en: " in result.output and "16000 Hz" in result.output and "en-digits-0" in result.output
    for i in range(3):
        make_audio(tmp_path / "in" / f"{i}.wav", seed=i)
    (tmp_path / "in" / "broken.wav").write_bytes(b"x")
    target = tmp_path / "out"
    result = CliRunner().invoke(
        data_app, ["build", str(tmp_path / "in"), "--out", str(target), "--sample-rate", "24000"]
    )
    assert result.exit_code == 0 and str(target / "manifest.jsonl") in result.output
    source = open_source(str(target), sample_rate=24_000, config=DataConfig())
    assert len(source) == 3 and {e.sample_rate for e in source} == {24_000}
    result = CliRunner().invoke(data_app, ["inspect", str(tmp_path / "in")])
    assert "1 file skipped: 1 unreadable (broken.wav)" in result.output
    result = CliRunner().invoke(data_app, ["build", str(tmp_path / "in")])
    assert isinstance(result.exception, CodaxError) and "--out" in str(result.exception)
