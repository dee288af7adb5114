"""The command line in one process, with a codec that needs no network: messages, exit status, nothing left behind."""

import json
import os
import resource

import codax
import numpy as np
import pytest
import soundfile
from codax import audio
from codax.errors import CodaxError
from fake_codec import FakeCodec


@pytest.fixture
def models(monkeypatch, tmp_path):
    """The models that can be loaded, by name or folder; the user's cache is a temporary folder."""
    known = {"fake": FakeCodec(), "other": FakeCodec(digest=b"otherone"), "film": FakeCodec(film="encoder")}
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODAX_MODELS", raising=False)

    def load(name, beam=None):
        if str(name) not in known:
            raise CodaxError(f"{name}: no such model")
        return known[str(name)]

    monkeypatch.setattr(codax, "load", load, raising=False)
    return known


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with in.wav: half a second of 44.1 kHz stereo."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    audio.write("in.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (22_050, 2)), 44_100)
    return folder


def _fails(result, reason: str) -> None:
    status, out, err = result
    assert (status, out) == (1, "")
    assert err.startswith("codax: ")
    assert err.count("\n") == 1
    assert reason in err


def test_encode_and_decode(run, work, models):
    status, out, err = run("encode", "in.wav", "a.codax", "--model", "fake")
    assert (status, err) == (0, "")
    size = os.path.getsize("a.codax")
    assert out.startswith(f"a.codax: 0.50 s, {size:,} bytes, {8 * size / 500:.2f} kbps, ")
    assert out.endswith("x real time\n")
    status, out, err = run("decode", "a.codax", "b.wav", "--model", "fake")
    assert (status, err) == (0, "")
    assert audio.info("b.wav") == audio.info("in.wav")
    assert sorted(os.listdir()) == ["a.codax", "b.wav", "in.wav"]


def test_rates(run, work, models):
    sizes = {}
    for kbps in ("16", "32", "48"):
        assert run("encode", "in.wav", "a.codax", "--model", "fake", "--kbps", kbps, "--overwrite")[0] == 0
        sizes[kbps] = os.path.getsize("a.codax")
    assert sizes == {kbps: 2 * int(kbps) * 1000 * 0.5 / 8 + 39 + len("fake") for kbps in sizes}
    _fails(run("encode", "in.wav", "b.codax", "--model", "fake", "--kbps", "20"), "20 kbps cannot be made")
    _fails(run("encode", "in.wav", "b.codax", "--model", "fake", "--kbps", "-1"), "-1 kbps cannot be made")
    _fails(run("encode", "in.wav", "b.codax", "--model", "fake", "--kbps", "nan"), "kbps")
    _fails(run("encode", "in.wav", "b.codax", "--model", "fake", "--kbps", "inf"), "kbps")


def test_entropy_coding(run, work, models):
    time = np.arange(8000 * 21)[:, None] / 8000
    rate = ("--model", "fake", "--kbps", "16")
    audio.write("in.wav", 0.5 * np.sin(2 * np.pi * 2 * time), 8000)
    assert run("encode", "in.wav", "packed.codax", *rate)[0] == 0
    assert run("encode", *rate, "in.wav", "a.codax", "--entropy", "adaptive")[0] == 0
    assert run("encode", "--entropy", *rate, "in.wav", "b.codax")[0] == 0
    with open("a.codax", "rb") as a, open("b.codax", "rb") as b:
        data = bytearray(a.read())
        assert data == b.read()
    assert len(data) < os.path.getsize("packed.codax")
    for name in ("a", "packed"):
        assert run("decode", f"{name}.codax", f"{name}.wav", "--model", "fake")[0] == 0
    np.testing.assert_array_equal(audio.read("a.wav")[0], audio.read("packed.wav")[0])
    facts = json.loads(run("info", "a.codax", "--json")[1])
    assert (facts["coding"], facts["blocks"]) == ("adaptive", 3)
    assert facts["code_bytes"] < facts["packed_bytes"] == facts["frames"]

    data[len(data) // 2] ^= 1  # in the second block, of 10 s
    with open("a.codax", "wb") as file:
        file.write(data)
    _fails(run("decode", "a.codax", "c.wav", "--model", "fake"), "a.codax: damaged in block 1 (10.00 to 20.00 s) of 3")
    assert not os.path.exists("c.wav")
    status, _, err = run("decode", "a.codax", "c.wav", "--model", "fake", "--damaged", "conceal")
    assert (status, err) == (0, "codax: a.codax: damaged in block 1 (10.00 to 20.00 s) of 3: silent there\n")
    actual, whole = audio.read("c.wav")[0], audio.read("packed.wav")[0]
    assert not actual[80_000:160_000].any()
    edge = 50  # the fades
    np.testing.assert_array_equal(actual[: 80_000 - edge], whole[: 80_000 - edge])
    np.testing.assert_array_equal(actual[160_000 + edge :], whole[160_000 + edge :])


def test_denoise_needs_a_model_for_it(run, work, models):
    _fails(run("encode", "in.wav", "a.codax", "--model", "fake", "--denoise"), "was not trained to denoise")
    _fails(run("encode", "in.wav", "a.codax", "--model", "fake", "--lm", "lm"), "lm: entropy is None; only lm")
    assert run("encode", "in.wav", "a.codax", "--model", "film", "--denoise")[0] == 0
    assert json.loads(run("info", "a.codax", "--json")[1])["denoised"] is True
    assert run("decode", "a.codax", "b.wav", "--model", "film")[0] == 0
    assert models["film"].denoised  # a model that is conditioned in its decoder needs to know it there


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.wav", None, "none.wav: no such file"),
        ("empty.wav", b"", "empty.wav: empty file"),
        ("text.wav", b"this is no audio\n" * 100, "text.wav: not a readable audio file"),
        ("no\nline.wav", b"\0", "no\\nline.wav"),
        (".", None, "is a folder"),
    ],
)
@pytest.mark.usefixtures("models")
def test_unusable_audio(run, work, name, content, reason):
    if content is not None:
        (work / name).write_bytes(content)
    before = sorted(os.listdir())
    _fails(run("encode", name, "a.codax", "--model", "fake"), reason)
    assert sorted(os.listdir()) == before


def test_truncated_audio(run, work, models):
    data = (work / "in.wav").read_bytes()
    (work / "cut.wav").write_bytes(data[: len(data) // 2])
    _fails(run("encode", "cut.wav", "a.codax", "--model", "fake"), "cut.wav: truncated")
    assert sorted(os.listdir()) == ["cut.wav", "in.wav"]


def test_unusable_containers(run, work, models):
    run("encode", "in.wav", "a.codax", "--model", "fake")
    data = (work / "a.codax").read_bytes()
    for content, reason in (
        (data[:-5], f"cut.codax: truncated at byte {len(data) - 5} of {len(data)}"),
        (data[:100] + b"\xff" + data[101:], "cut.codax: checksum of the codes"),
        (data[:20] + b"\xff" + data[21:], "cut.codax: header checksum"),
        (b"RIFF", "cut.codax: not a .codax container"),
        (b"", "cut.codax: empty file"),
    ):
        (work / "cut.codax").write_bytes(content)
        _fails(run("decode", "cut.codax", "b.wav", "--model", "fake"), reason)
        _fails(run("info", "cut.codax"), reason)
    _fails(run("decode", "none.codax", "b.wav"), "none.codax: no such file")
    _fails(run("decode", "in.wav", "b.wav"), "in.wav: not a .codax container")
    assert sorted(os.listdir()) == ["a.codax", "cut.codax", "in.wav"]


def test_unwritable_outputs(run, work, models):
    run("encode", "in.wav", "a.codax", "--model", "fake")
    before = sorted(os.listdir())
    _fails(run("encode", "in.wav", "none/a.codax", "--model", "fake"), "none/a.codax: the folder")
    _fails(run("decode", "a.codax", "none/b.wav", "--model", "fake"), "none/b.wav: the folder")
    os.mkdir("folder.codax")
    before = sorted(os.listdir())
    _fails(run("encode", "in.wav", "folder.codax", "--model", "fake"), "not a regular file")
    os.symlink("/dev/full", "full.codax")
    _fails(run("encode", "in.wav", "full.codax", "--model", "fake"), "not a regular file")
    os.unlink("full.codax")
    _fails(run("decode", "a.codax", "b.xyz", "--model", "fake"), "b.xyz: cannot write '.xyz' files")
    _fails(run("encode", "in.wav", "in.wav", "--model", "fake"), "same file")
    _fails(run("encode", "in.wav", "a" * 300 + ".codax", "--model", "fake"), "File name too long")
    assert sorted(os.listdir()) == before


def test_a_full_disk_leaves_the_earlier_files(run, work, models):
    audio.write("long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (400_000, 1)), 8000)
    run("encode", "in.wav", "a.codax", "--model", "fake")
    run("encode", "long.wav", "long.codax", "--model", "fake")
    run("decode", "a.codax", "b.wav", "--model", "fake")
    before = {name: (work / name).read_bytes() for name in sorted(os.listdir())}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for limit in (10, 100_000, len(before["long.codax"]) - 1):  # Python ignores SIGXFSZ: writes give EFBIG
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            _fails(
                run("encode", "long.wav", "a.codax", "--model", "fake", "--overwrite"),
                "a.codax: cannot be written (File too large)",
            )
            _fails(run("decode", "long.codax", "b.wav", "--model", "fake", "--overwrite"), "b.wav: cannot")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {name: (work / name).read_bytes() for name in sorted(os.listdir())} == before


def test_the_model_is_found_by_its_hash(run, work, models, monkeypatch, tmp_path):
    folder = tmp_path / "models" / "one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"name": "fake"}')
    models[str(folder)] = FakeCodec(digest=b"unique!!", path=str(folder))
    assert run("encode", "in.wav", "a.codax", "--model", str(folder))[0] == 0
    assert run("decode", "a.codax", "b.wav")[0] == 0  # the cache remembers the folder

    note = tmp_path / "cache" / "models" / f"{b'unique!!'.hex()}.json"
    assert json.loads(note.read_text()) == {"name": "fake", "path": str(folder)}
    for damaged in ("", "[]", '{"path": 3}', '{"path": "/nowhere"}'):
        note.write_text(damaged)
        _fails(run("decode", "a.codax", "c.wav"), f"encoded with model fake with weights {b'unique!!'.hex()}")
    note.unlink()
    _fails(run("decode", "a.codax", "c.wav"), "(--model, CODAX_MODELS)")
    unreadable = f"{'x' * 5000}:~nobody-here/models"
    for places in (str(folder), str(tmp_path / "models"), f"/nowhere:{unreadable}:{tmp_path / 'models'}"):
        monkeypatch.setenv("CODAX_MODELS", places)
        assert run("decode", "a.codax", "c.wav", "--overwrite")[0] == 0


def test_models_are_coded_with_although_they_cannot_be_remembered(run, work, models, monkeypatch, tmp_path):
    models["m"] = FakeCodec(path=str(tmp_path / "m"))
    monkeypatch.setenv("CODAX_CACHE", "~nobody-here/cache")
    assert run("encode", "in.wav", "a.codax", "--model", "m")[0] == 0
    _fails(run("decode", "a.codax", "b.wav"), "(--model, CODAX_MODELS)")


def test_a_model_that_was_trained_on_is_noticed(run, work, models, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    models[str(folder)] = FakeCodec(digest=b"before!!", path=str(folder))
    run("encode", "in.wav", "a.codax", "--model", str(folder))
    models[str(folder)] = FakeCodec(digest=b"after!!!", path=str(folder))
    _fails(run("decode", "a.codax", "b.wav"), f"{folder} has weights {b'after!!!'.hex()}")


def test_another_model_is_refused(run, work, models):
    run("encode", "in.wav", "a.codax", "--model", "fake")
    _fails(
        run("decode", "a.codax", "b.wav", "--model", "other"),
        f"a.codax: encoded with model fake with weights {b'fakehash'.hex()}, but other is fake with weights "
        f"{b'otherone'.hex()}",
    )
    _fails(run("decode", "a.codax", "b.wav", "--model", "none"), "none: no such model")
    _fails(run("encode", "in.wav", "b.codax", "--model", "none"), "none: no such model")
    assert sorted(os.listdir()) == ["a.codax", "in.wav"]


def test_a_cache_that_cannot_be_written_is_no_error(run, work, models, monkeypatch):
    models["fake"].path = str(work)
    monkeypatch.setenv("CODAX_CACHE", str(work / "in.wav" / "cache"))
    assert run("encode", "in.wav", "a.codax", "--model", "fake")[0] == 0


def test_info_of_a_container(run, work, models):
    run("encode", "in.wav", "a.codax", "--model", "fake", "--kbps", "32")
    status, out, err = run("info", "a.codax", "--json")
    facts = json.loads(out)
    assert (status, err) == (0, "")
    assert facts.items() >= {
        "kind": "container", "version": 1, "model": "fake", "model_hash": b"fakehash".hex(), "sample_rate": 44_100,
        "channels": 2, "samples": 22_050, "seconds": 0.5, "streams": 2, "num_quantizers": 2, "codebook_size": 256,
        "bits_per_code": 8, "frames": 1000, "code_bytes": 4000, "bytes": 4043, "kbps_of_codes": 64.0,
        "kbps_of_file": 64.688,
    }.items()  # fmt: skip
    status, out, _ = run("info", "a.codax")
    assert status == 0
    assert "sample rate     44,100\n" in out


def test_encode_and_info_say_how_channels_are_coded(run, work, models):
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 2))
    audio.write("in.wav", signal, 8000)
    audio.write("equal.wav", signal[:, [0, 0]], 8000)
    for args, rates, coding, streams in (
        (("in.wav",), "2 channels x 48 kbps = 96 kbps", "each", None),
        (("equal.wav",), "equal channels, coded once: 48 kbps", "equal channels once", [0, 0]),
        (("in.wav", "--channels", "mid-side"), "mid and side: 2 x 48 kbps = 96 kbps", "mid-side", None),
        (("in.wav", "--channels", "mix"), "2 channels, mixed to one: 48 kbps", "each", None),
    ):
        status, out, err = run("encode", *args, "a.codax", "--model", "fake", "--overwrite")
        assert (status, err) == (0, "")
        assert f" kbps, {rates}, " in out
        facts = json.loads(run("info", "a.codax", "--json")[1])
        assert (facts["channel_coding"], facts["stream_of_channel"]) == (coding, streams)
        assert facts["kbps_of_file"] == pytest.approx(8 * os.path.getsize("a.codax") / 1000)
        assert run("decode", "a.codax", "b.wav", "--model", "fake", "--overwrite")[0] == 0
        assert audio.info("b.wav").channels == (1 if "mix" in args else 2)
    assert run("encode", "in.wav", "b.codax", "--model", "fake", "--channels", "left")[0] == 2
    _fails(run("encode", "in.wav", "b.ecdc", "--model", "fake", "--channels", "each"), "have the channels of the model")


def test_info_of_audio_and_nothing(run, work, models):
    facts = json.loads(run("info", "in.wav", "--json")[1])
    assert facts.items() >= {"kind": "audio", "sample_rate": 44_100, "channels": 2, "seconds": 0.5}.items()
    _fails(run("info", "none"), "none: no such file or folder")
    _fails(run("info", "."), "not a model folder: config.json is missing")
    (work / "text.txt").write_text("no audio")
    _fails(run("info", "text.txt"), "text.txt: not a readable audio file")


def test_interrupts_and_other_errors(run, work, models, monkeypatch):
    before = sorted(os.listdir())
    for error, status, message in (
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(143), 143, ""),
        (MemoryError(), 1, "codax: not enough memory\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "codax: x: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "codax: [Errno 28] No space left on device\n"),
    ):

        def stop(self, _error=error, **kwargs):
            raise _error

        monkeypatch.setattr(FakeCodec, "block_encoder", stop)
        assert run("encode", "in.wav", "a.codax", "--model", "fake") == (status, "", message)
        assert sorted(os.listdir()) == before


def test_version_and_usage(run):
    assert run("--version") == (0, f"codax {codax.__version__}\n", "")
    status, out, _ = run("--help")
    assert status == 0
    assert all(name in out for name in ("encode", "decode", "info"))
    assert run("encode", "in.wav")[0] == 2
    assert run("nonsense")[0] == 2


def test_wav_of_float_samples_that_are_not_numbers(run, work, models):
    soundfile.write("nan.wav", np.array([0.0, np.nan, 0.0], np.float32), 8000, subtype="FLOAT")
    _fails(run("encode", "nan.wav", "a.codax", "--model", "fake"), "not finite")
