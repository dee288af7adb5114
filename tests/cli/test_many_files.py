"""`codax encode` and `codax decode` of many files, and of stdin and stdout."""

import io
import os
import pathlib
import sys
import threading

import codax
import numpy as np
import pytest
from codax import audio
from fake_codec import FakeCodec


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """The names of the models that were loaded; every name is a model."""
    names = []

    def load(name, beam=None):
        names.append(str(name))
        return FakeCodec()

    monkeypatch.setattr(codax, "load", load, raising=False)
    return names


@pytest.fixture
def folder(run_here, loads) -> pathlib.Path:
    """A folder `in` with five recordings of unequal lengths, two of them in a subfolder, and a file that is none."""
    (pathlib.Path("in") / "more").mkdir(parents=True)
    for number in range(5):
        name = f"in/{'more/' if number % 2 else ''}{number}.wav"
        audio.write(name, np.random.default_rng(number).uniform(-0.5, 0.5, 2000 + 1000 * number), 8000)
    pathlib.Path("in/text.txt").write_text("not audio")
    return pathlib.Path("in")


def _files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in pathlib.Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_folder_is_encoded_and_decoded_with_one_model(run_here, folder, loads, jobs):
    status, out, err = run_here("encode", "in", "out", "--recursive", "--model", "fake", "--jobs", jobs)
    assert (status, err) == (0, "")
    assert out.startswith("out: 5 files, 2.50 s, ") and out.endswith("x real time\n") and out.count("\n") == 1
    assert _files("out") == ["0.codax", "2.codax", "4.codax", "more/1.codax", "more/3.codax"]
    assert loads == ["fake"]
    assert run_here("decode", "out", "wav", "--recursive", "--model", "fake", "--jobs", jobs)[0] == 0
    assert loads == ["fake", "fake"]
    for name in _files("out"):
        run_here("decode", f"out/{name}", "alone.wav", "--model", "fake", "--overwrite")
        alone, decoded = pathlib.Path("alone.wav"), pathlib.Path("wav") / pathlib.Path(name).with_suffix(".wav")
        assert decoded.read_bytes() == alone.read_bytes()


def test_models_are_loaded_once_if_the_containers_choose_them(run_here, folder, loads):
    run_here("encode", "in/0.wav", "in/2.wav", "out", "--model", "fake")
    loads.clear()
    status, _, err = run_here("decode", "out/0.codax", "out/2.codax", "wav/")
    assert status == 1 and "encoded with model fake" in err  # no folder of this name holds its weights
    assert len(loads) == len(set(loads))


def test_files_that_fail_are_listed_and_the_others_done(run_here, folder, loads):
    (folder / "bad.wav").write_text("no audio")
    pathlib.Path("out").mkdir()
    pathlib.Path("out/2.codax").write_bytes(b"mine")
    status, out, err = run_here("encode", "in", "out", "--recursive", "--model", "fake")
    assert status == 1 and out.startswith("out: 4 files, ")
    lines = err.splitlines()
    assert lines[0] == "codax: out/2.codax: already exists; use another name, or --overwrite"
    assert lines[1].startswith("codax: in/bad.wav: not a readable audio file")
    assert lines[2:] == ["codax: 2 of 6 files failed"]
    assert pathlib.Path("out/2.codax").read_bytes() == b"mine"
    assert _files("out") == ["0.codax", "2.codax", "4.codax", "more/1.codax", "more/3.codax"]


def test_a_missing_model_is_one_error(run_here, folder, monkeypatch):
    monkeypatch.undo()
    status, out, err = run_here("encode", str(folder.resolve()), "out", "-r", "--model", "none")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert not pathlib.Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in", "out"], "in: is a folder; --recursive reads the files below it"),
        (["in/text.txt", "in/0.wav", "-"], "-: stdin and stdout are single files"),
        (["-", "in/0.wav", "out"], "-: stdin and stdout are single files"),
        (["in/0.wav", "copy/0.wav", "out"], "copy/0.wav and in/0.wav: both would be written to out/0.codax"),
        (["empty", "out", "--recursive"], "empty: no such files below this folder"),
        (["in", "empty", "out", "--recursive"], "empty: no such files below this folder"),
        (["in", "out", "--recursive", "--suffix", ".mp3"], "--suffix: .mp3 is not one of .codax, .ecdc"),
        (["in/0.wav", "out.codax", "--suffix", ".ecdc"], "--suffix has no effect without a folder as OUT"),
        (["in/0.wav", "out.codax", "--jobs", "2"], "--jobs has no effect without a folder as OUT"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused_before_any_work(run_here, folder, loads, arguments, reason):
    os.mkdir("empty")
    status, out, err = run_here("encode", *arguments, "--model", "fake")
    assert (status, out) == (1, "") and reason in err and err.count("\n") == 1
    assert not loads and not pathlib.Path("out").exists()


def test_quiet_and_verbose(run_here, folder, loads):
    assert run_here("encode", "in/0.wav", "in/2.wav", "out", "--model", "fake", "-q") == (0, "", "")
    assert run_here("-q", "encode", "in/4.wav", "a.codax", "--model", "fake") == (0, "", "")
    status, out, err = run_here("encode", "in/0.wav", "in/2.wav", "out", "--model", "fake", "--overwrite", "-v")
    assert status == 0 and out.startswith("out: 2 files, ")
    assert [line.split(":")[0] for line in err.splitlines()[1:]] == ["out/0.codax", "out/2.codax"]
    assert "loaded in" in err.splitlines()[0]


class _Pipe(io.TextIOWrapper):
    """A standard stream that holds bytes and is no terminal."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(io.BytesIO(data))


@pytest.mark.parametrize("unknown_length", [False, True])
def test_stdin_and_stdout_are_files(run_here, folder, monkeypatch, unknown_length):
    wav = bytearray((folder / "4.wav").read_bytes())
    if unknown_length:  # as programs write to pipes
        wav[4:8] = wav[40:44] = b"\xff" * 4
    run_here("encode", "in/4.wav", "named.codax", "--model", "fake")

    def piped(data: bytes, *arguments: str) -> tuple[bytes, str]:
        with monkeypatch.context() as patch:
            pipe = _Pipe()
            patch.setattr(sys, "stdin", _Pipe(bytes(data)))
            patch.setattr(sys, "stdout", pipe)
            status, _, err = run_here(*arguments, "--model", "fake")
            pipe.flush()
            assert status == 0, err
            return pipe.buffer.getvalue(), err  # pyright: ignore[reportAttributeAccessIssue]

    container, err = piped(wav, "encode", "-", "-")
    assert container == pathlib.Path("named.codax").read_bytes()
    assert err.startswith("-: 0.75 s, ")
    run_here("decode", "named.codax", "named.wav", "--model", "fake")
    assert piped(container, "decode", "-", "-")[0] == pathlib.Path("named.wav").read_bytes()
    assert piped(container, "decode", "-", "-", "--suffix", ".flac")[0].startswith(b"fLaC")
    piped(wav, "encode", "-", "a.codax")
    assert pathlib.Path("a.codax").read_bytes() == container


def test_errors_name_the_pipe(run_here, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", _Pipe(b"no audio"))
    status, _, err = run_here("encode", "-", "a.codax", "--model", "fake")
    assert status == 1 and err.startswith("codax: stdin: not a readable audio file")
    assert not pathlib.Path("a.codax").exists()


def test_the_mask_of_new_files_is_the_same_with_threads(tmp_path):
    from codax.storage.files import file_mask, write_whole

    before = file_mask()
    threads = [
        threading.Thread(target=lambda n=n: [write_whole(tmp_path / f"{n}_{i}", b"") for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file_mask() == before
