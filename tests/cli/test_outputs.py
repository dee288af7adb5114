"""No command replaces a file that exists, unless it is told to; no command writes over its own input."""

import os
import pathlib

import numpy as np
import pytest
from codax import audio
from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig
from codax.containers.whole_files import encode_file
from codax.errors import CodaxError
from fake_codec import FakeCodec


@pytest.fixture
def place(run_here):
    """The working folder: in.wav, a folder `audio` with a file, and folder `full`, which holds a note."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    pathlib.Path("audio").mkdir()
    for name in ("in.wav", "audio/one.wav"):
        audio.write(name, noise, 8000)
    pathlib.Path("full").mkdir()
    for name in ("full/note.txt", "note.txt", "b.wav", "b.codax"):
        pathlib.Path(name).write_text("mine")
    return pathlib.Path()


def _files(place):
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("encode", "in.wav", "b.codax"), "b.codax: already exists"),
        (("encode", "in.wav", "b.wav"), "b.wav: the name of the output must end in .codax or .ecdc"),
        (("encode", "in.wav", "b.wav", "--overwrite"), "must end in .codax or .ecdc"),
        (("encode", "in.wav", "new"), "new: the name of the output must end in .codax or .ecdc"),
        (("encode", "in.wav", "in.wav", "--overwrite"), "in.wav: input and output are the same file"),
        (("decode", "b.codax", "b.wav"), "b.wav: already exists"),
        (("decode", "b.codax", "b.codax", "--overwrite"), "same file"),
        (("convert", "in.wav", "in.wav", "b.wav", "--model", "m"), "b.wav: already exists"),
        (("convert", "in.wav", "b.wav", "b.wav", "--model", "m", "--overwrite"), "same file"),
        (("import", "audio", "full"), "full: the folder is not empty"),
        (("import", "audio", "audio", "--overwrite"), "audio: input and output are the same folder"),
        (("export", "m", "full"), "full: the folder is not empty"),
        (("export", "m", "note.txt"), "note.txt: already exists"),
        (("plan", "--config", "r.py", "--topology", "cpu:1", "--out", "note.txt"), "note.txt: already exists"),
        (("mushra", "build", "--reference", "audio", "x=audio", "--out", "full"), "full: the folder is not empty"),
        (("mushra", "build", "--reference", "audio", "x=full", "--out", "full", "--overwrite"), "same folder"),
        (("mushra", "analyze", "audio", "--manifest", "note.txt", "--out", "full"), "full: the folder is not empty"),
        (("data", "build", "audio", "--out", "full"), "full: the folder is not empty"),
        (("data", "build", "audio", "--out", "audio"), "audio: input and output are the same folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_existing_files_are_kept(run_here, place, arguments, reason):
    before = _files(place)
    status, out, err = run_here(*arguments)
    assert (status, out, err.count("\n")) == (1, "", 1), err
    assert err.startswith("codax: ") and reason in err
    assert _files(place) == before


def test_overwrite_replaces_them(run_here, place, monkeypatch):
    import codax

    monkeypatch.setattr(codax, "load", lambda name, beam=None: FakeCodec(), raising=False)
    assert run_here("encode", "in.wav", "b.codax", "--model", "fake", "--overwrite")[0] == 0
    assert run_here("decode", "b.codax", "b.wav", "--model", "fake", "--overwrite")[0] == 0
    assert audio.info("b.wav") == audio.info("in.wav")
    assert run_here("encode", "in.wav", "C.CODAX", "--model", "fake")[0] == 0


def test_a_link_to_the_input_is_the_input(run_here, place):
    os.symlink("in.wav", "link.codax")
    status, _, err = run_here("encode", "in.wav", "link.codax", "--overwrite")
    assert status == 1 and "link.codax: input and output are the same file" in err


def test_the_library_writes_containers_under_their_own_names(place):
    with pytest.raises(CodaxError, match=r"b\.wav: the name of the output must end in \.codax or \.ecdc"):
        encode_file("in.wav", "b.wav", model=FakeCodec())
    assert pathlib.Path("b.wav").read_text() == "mine"


def test_a_model_folder_is_replaced_only_on_demand(run_here, place):
    from codax.codec.codec import Codec

    config = Config(
        model=SoundStreamConfig(sample_rate=8000, channels=1, strides=(4,), dilations=(1,), dimension=2),
        quantizer=EMAQuantizerConfig(num_quantizers=1, codebook_size=4, kbps=()),
    )
    Codec.init_random(config).save("model")
    export = ("export", "model", "copy", "--format", "safetensors")
    assert run_here(*export)[0] == 0
    status, _, err = run_here(*export)
    assert status == 1 and "copy: the folder is not empty; use another name, or --overwrite" in err
    assert run_here(*export, "--overwrite")[0] == 0
