"""Forged files end in one line that names the file and the reason, at once and in little memory."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from codax import audio
from codax.codec import shipped

CASES = Path(__file__).parents[1] / "cases"
SECONDS = 20.0  # far more than any of them takes
LARGEST = 64 << 20  # bytes


@pytest.fixture
def refused(run_here):
    """Runs `codax ARGS` and checks that it refuses; returns its line of error."""

    def call(*args: object) -> str:
        tracemalloc.start()
        begin = time.monotonic()
        try:
            status, out, err = run_here(*args)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (status, out) == (1, ""), err
        *notes, last, empty = err.split("\n")
        assert last.startswith("codax: ") and not empty and "Traceback" not in err, err
        assert not notes or args[:2] == ("data", "build"), err  # which shows its progress
        assert time.monotonic() - begin < SECONDS and peak < LARGEST
        return last

    return call


def _model(config: Path | None = None, weights: Path | None = None) -> Path:
    """A model folder in the working folder: the shipped model with another file."""
    folder = Path("model")
    shutil.copytree(shipped.find("soundstream-speech"), folder)
    for name, path in (("config.json", config), ("model.safetensors", weights)):
        if path is not None:
            shutil.copyfile(path, folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rate_nan", "a.jsonl:1: not JSON lines ('sample_rate': NaN"),
        ("digits", "a.jsonl:1: not JSON lines ('x': a number of more than 100 characters)"),
        ("surr", "a.jsonl:1: not JSON lines (a text has a lone surrogate"),
        ("deep", "a.jsonl:1: not JSON lines (nested deeper than 64 levels)"),
        ("long", "a.jsonl:2: not JSON lines (longer than"),
        ("zero", "a.jsonl:1: the name of a file cannot hold a zero byte"),
        ("rate", "a.jsonl:1: sample_rate is 'nan', not within 1000 to 768000"),
    ],
)
def test_manifests(refused, name, reason):
    texts = {
        "deep": "[" * 100_000,
        "long": '{"file": "a.wav"}\n' + '{"file": "' + "a" * (1 << 20),
        "zero": '{"file": "a\\u0000.wav"}',
        "rate": '{"file": "ok.wav", "sample_rate": "nan"}',
    }
    Path("a.jsonl").write_text(texts.get(name) or (CASES / "data" / f"{name}.jsonl").read_text())
    audio.write("ok.wav", np.ones((16_000, 1), np.float32) / 2, 16_000)
    assert reason in refused("data", "inspect", "a.jsonl")


def _tar(name: str, size: int, pax: dict[str, str] | None = None) -> bytes:
    """A tar file with one member of 8 bytes that declares `size`."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = size, pax or {}
    form = tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT
    return info.tobuf(form) + bytes(tarfile.BLOCKSIZE) + bytes(2 * tarfile.BLOCKSIZE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_tar("a.wav", 1 << 60), "'a.wav' declares 1152921504606846976 bytes, more than the archive can hold"),
        (gzip.compress(_tar("a.wav", 1 << 60)), "more than the archive can hold"),
        (gzip.compress(_tar("a.other", 1 << 60)), "more than the archive can hold"),
        (_tar("a.other", 4096), "more than the archive can hold"),
        (_tar("a.wav", 2000), "unexpected end of data"),
        (_tar("a.wav", 8, {"size": "-1000000"}), "a.tar"),
        (_tar("a.wav", 8, {"size": "9" * 400}), "a.tar"),
        (tarfile.TarInfo("a.wav").tobuf().replace(b"ustar", b"x", 1), "a.tar"),
    ],
    ids=["huge", "huge_gzip", "huge_gzip_other", "other", "cut", "negative", "digits", "checksum"],
)
def test_archives(refused, content, reason):
    Path("a.tar").write_bytes(content)
    err = refused("data", "build", "a.tar", "--out", "out", "--sample-rate", "16000")
    assert "a.tar" in err and reason in err
    assert not Path("out").exists()


def test_headers_of_archives_that_are_read_at_once(refused):
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        info = tarfile.TarInfo("a.wav")
        info.size, info.type = 1 << 50, kind
        Path("a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        assert "a header declares 1125899906842624 bytes" in refused(
            "data", "build", "a.tar", "--out", "out", "--sample-rate", "16000"
        )


def test_many_members_of_one_key_are_not_held(refused):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name in [f"a.{i}.wav" for i in range(16)] + [f"a.{i}.txt" for i in range(60)]:
            info = tarfile.TarInfo(name)
            info.size = 6 << 20 if name.endswith("wav") else 500_000
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    Path("a.tar.gz").write_bytes(buffer.getvalue())
    err = refused("data", "build", "a.tar.gz", "--out", "out", "--sample-rate", "16000")
    assert "several audio members with one key" in err


@pytest.mark.parametrize("command", ["info", "decode"])
def test_ecdc(refused, command):
    shutil.copyfile(CASES / "containers" / "bomb48.ecdc", "a.ecdc")
    args = ("info", "a.ecdc") if command == "info" else ("decode", "a.ecdc", "out.wav", "--model", "encodec")
    if command == "info":
        assert "a.ecdc: cut off: 1000000000000 samples need at least" in refused(*args)
    else:
        refused(*args)
    assert not Path("out.wav").exists()


@pytest.mark.parametrize("name", ["wide", "one"])
@pytest.mark.parametrize("command", ["info", "decode"])
def test_containers(refused, command, name):
    shutil.copyfile(CASES / "containers" / f"{name}.codax", "a.codax")
    decode = ("decode", "--damaged", "conceal", "--model", "soundstream-speech", "a.codax", "out.wav")
    err = refused(*(decode if command == "decode" else ("info", "a.codax")))
    assert "a.codax: " in err and "frames" in err
    assert not Path("out.wav").exists()


@pytest.mark.parametrize(
    ("name", "field"), [("stride_zero", "model.strides = (0,)"), ("float_too_large", "'residual_scale'")]
)
@pytest.mark.parametrize("command", ["info", "encode"])
def test_configs(refused, command, name, field):
    folder = _model(config=CASES / "models" / f"{name}.json")
    audio.write("a.wav", np.zeros((1600, 1), np.float32), 16_000)
    encode = ("encode", "a.wav", "a.codax", "--model", folder)
    err = refused(*(encode if command == "encode" else ("info", folder)))
    assert "config.json: " in err and field in err
    assert not Path("a.codax").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("float8", "model.safetensors: a: arrays of type F8_E4M3 are not supported"),
        ("shape_infinity", "model.safetensors: not a readable safetensors file ('shape': Infinity"),
    ],
)
def test_weights(refused, name, reason):
    assert reason in refused("info", _model(weights=CASES / "tensors" / f"{name}.safetensors"))


def test_pointers_of_git_lfs(refused, tmp_path):
    pointer = tmp_path / "pointer"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n")
    folder = _model(weights=pointer)
    shutil.copyfile(pointer, "a.wav")
    shutil.copyfile(pointer, "a.th")
    for args in (
        ("info", folder),
        ("encode", "in.wav", "a.codax", "--model", folder),
        ("import", folder / "model.safetensors", "out"),
        ("import", "a.th", "out"),
        ("info", "a.wav"),
        ("encode", "a.wav", "a.codax"),
    ):
        audio.write("in.wav", np.zeros((1600, 1), np.float32), 16_000)
        assert "a Git-LFS pointer instead of the file itself" in refused(*args), args
