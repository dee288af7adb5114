"""Models by their names on a hub: downloads, the cache, files of other projects, and every failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import codax
import numpy as np
import pytest
import small_models
from codax.codec import shipped
from codax.codec.folder import write_model
from codax.errors import CodaxError, install
from codax.interop import formats, imports, models
from full_disk import small_file_system
from huggingface_hub import constants
from huggingface_hub.utils import logging
from loopback import Hub, Repo


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def mimi(hub: Hub, tmp_path: Path) -> Repo:
    """A small Mimi as transformers writes it, with other files beside it, as the released repository has them."""
    formats.export_huggingface(small_models.codec("mimi"), tmp_path / "exported")
    repo = hub.repos["kyutai/mimi"] = Repo()
    others = dict.fromkeys(("README.md", "pytorch_model.bin", "tokenizer-e351c8d8-checkpoint125.safetensors"), b"x")
    repo.add(files_of(tmp_path / "exported") | others)
    return repo


@pytest.fixture
def tiny(hub: Hub, tmp_path: Path) -> Repo:
    """A model of codax."""
    codec = small_models.codec("soundstream")
    write_model(tmp_path / "tiny", codec.config, codec.flat())
    repo = hub.repos["me/tiny"] = Repo()
    repo.add(files_of(tmp_path / "tiny"))
    return repo


def refusal(model: str) -> str:
    with pytest.raises(CodaxError) as caught:
        models.find(model)
    message = str(caught.value)
    assert message.startswith(f"{model.partition('@')[0]}") and "\n" not in message
    return message


def test_a_name_equals_the_imported_folder_and_a_second_call_makes_no_request(
    hub: Hub, mimi: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = codax.load("kyutai/mimi")
    formats.import_model(tmp_path / "exported").save(tmp_path / "imported")
    expected = codax.load(tmp_path / "imported")
    audio = small_models.signal(codec, 2, 40)
    np.testing.assert_array_equal(codec.encode(audio).codes, expected.encode(audio).codes)
    assert codec.hash == expected.hash
    assert downloads(hub) == {"config.json", "model.safetensors", "README.md"}
    hub.requests.clear()
    monkeypatch.setattr(imports, "import_model", None)  # nothing is converted again either
    assert codax.load("kyutai/mimi").hash == expected.hash
    assert models.find(tmp_path / "exported") == models.find("kyutai/mimi")  # by its content
    assert hub.requests == []


def downloads(hub: Hub) -> set[str]:
    return {one.rpartition("/")[2] for one in hub.requests if one.startswith("GET ") and "/resolve/" in one}


def test_models_of_codax_are_used_where_they_lie(hub: Hub, tiny: Repo, tmp_path: Path) -> None:
    assert models.find("me/tiny").is_relative_to(tmp_path / "hub")
    assert not (tmp_path / "codax").exists()


def test_revisions(hub: Hub, tiny: Repo) -> None:
    old = tiny.refs["main"]
    tiny.refs["v1"] = old
    assert models.find("me/tiny").name == old
    new = tiny.add({"README.md": b"new"})
    assert models.find("me/tiny").name == old  # that of the cache
    assert models.find("me/tiny", refresh=True).name == new == models.find("me/tiny").name
    assert models.find("me/tiny@v1").name == old
    hub.requests.clear()
    assert models.find(f"me/tiny@{old}").name == old  # a commit is never looked up
    assert hub.requests == []
    assert refusal("me/tiny@v2").startswith("me/tiny@v2: the repository has no such revision")


def test_a_cut_connection_is_resumed_without_a_message(hub: Hub, tiny: Repo, capfd) -> None:
    level = logging.get_verbosity()
    hub.cut["model.safetensors"] = 50_000
    assert codax.load("me/tiny").hash == small_models.codec("soundstream").hash
    assert capfd.readouterr() == ("", "") and logging.get_verbosity() == level
    assert sum("GET" in one and one.endswith("model.safetensors") for one in hub.requests) == 2


def test_a_damaged_download_is_refused_and_not_kept(hub: Hub, tiny: Repo) -> None:
    hub.garble.add("model.safetensors")
    assert "model.safetensors was damaged on its way" in refusal("me/tiny")
    hub.garble.clear()
    codax.load("me/tiny")


def test_without_a_network_the_cache_is_used(hub: Hub, tiny: Repo, mimi: Repo, monkeypatch) -> None:
    folder = models.find("me/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert models.find("me/tiny") == folder
    assert "not all of it is in the cache, and HF_HUB_OFFLINE forbids requests" in refusal("kyutai/mimi")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert models.find("me/tiny") == folder
    assert "no connection to http://127.0.0.1:9 (" in refusal("kyutai/mimi")
    with pytest.raises(CodaxError, match="no connection"):
        models.find("me/tiny", refresh=True)


def test_a_cache_that_another_program_has_filled(hub: Hub, tiny: Repo, monkeypatch) -> None:
    import huggingface_hub

    for name in ("config.json", "model.safetensors"):
        huggingface_hub.hf_hub_download("me/tiny", name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    codax.load("me/tiny")


def test_private_gated_and_unknown_repositories(hub: Hub, tiny: Repo, mimi: Repo, monkeypatch) -> None:
    tiny.private, mimi.gated = True, True
    assert "or a private one, which needs a token (HF_TOKEN" in refusal("me/tiny")
    assert "no such repository on http://127.0.0.1" in refusal("me/absent")
    assert refusal("me/absent").endswith("me/absent is no file or folder here either")
    assert "access is granted on its page only" in refusal("kyutai/mimi")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    models.find("me/tiny")
    assert "no such repository" in refusal("me/absent")


def test_a_full_disk(hub: Hub, tiny: Repo, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "small").mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "small"))
    with small_file_system(tmp_path / "small", 64 << 10):
        assert "No space left on device" in refusal("me/tiny")


def test_pickles_are_taken_by_their_name_only(hub: Hub, mimi: Repo) -> None:
    files = mimi.commits[mimi.refs["main"]]
    folder = "speechtokenizer_hubert_avg"
    hub.repos["fnlp/SpeechTokenizer"] = Repo()
    hub.repos["fnlp/SpeechTokenizer"].add(
        {"README.md": b"x", f"{folder}/config.json": files["config.json"], f"{folder}/SpeechTokenizer.pt": b"no pickle"}
    )
    name = f"fnlp/SpeechTokenizer/{folder}/SpeechTokenizer.pt"
    assert f"taken only by its name: {name}" in refusal("fnlp/SpeechTokenizer")
    assert downloads(hub) == set()
    assert models.source(name).read_bytes() == b"no pickle"
    assert models.source("kyutai/mimi/pytorch_model.bin").read_bytes() == b"x"
    with pytest.raises(CodaxError, match=r"SpeechTokenizer\.pt: "):
        codax.load(name)


def test_repositories_of_other_kinds_are_refused_before_their_weights_are_downloaded(hub: Hub, tiny: Repo) -> None:
    whole = tiny.commits[tiny.refs["main"]]
    for name, files, reason in (
        ("a/text", {"README.md": b""}, "has no weights that codax reads"),
        ("a/text/below", {"README.md": b""}, "has no below"),
        (
            "a/lm",
            {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"x"},
            "not a model of codax, EnCodec",
        ),
        ("a/bare", {"model.safetensors": b"x"}, "not a model of codax, EnCodec"),
        (
            "a/many",
            {f"{one}/{name}": data for one in "bc" for name, data in whole.items()},
            "has 2 models: name one of b, c",
        ),
    ):
        hub.repos["/".join(name.split("/")[:2])] = Repo()
        hub.repos["/".join(name.split("/")[:2])].add(files)
        assert reason in refusal(name)
        assert "model.safetensors" not in downloads(hub)
    codax.load("a/many/c")


def test_damaged_weights_of_a_repository(hub: Hub, tiny: Repo) -> None:
    tiny.add({"model.safetensors": b"x" * 100})
    with pytest.raises(CodaxError, match=r"^/.*model\.safetensors: not a readable safetensors file"):
        codax.load("me/tiny")


def test_files_and_folders_here_come_first(hub: Hub, tiny: Repo, tmp_path: Path, caplog) -> None:
    models.find("me/tiny")
    (tmp_path / "me").mkdir()
    (tmp_path / "tiny").rename(tmp_path / "me" / "tiny")
    hub.requests.clear()
    assert models.find("me/tiny") == Path("me/tiny") and hub.requests == []
    assert caplog.messages == ["me/tiny: the folder here is taken, not the model of that name on the hub"]
    caplog.clear()
    (tmp_path / shipped.DEFAULT).symlink_to(tmp_path / "me" / "tiny")
    assert models.find(shipped.DEFAULT) == Path(shipped.DEFAULT)
    assert caplog.messages == [f"{shipped.DEFAULT}: the folder here is taken, not the shipped model of that name"]
    for name in ("absent", "runs/absent.safetensors", "/absent/model", "./absent/model", "a b/c", "a/b@"):
        assert refusal(name).startswith(f"{name.partition('@')[0]}")
    assert hub.requests == []


def test_without_the_library_the_message_names_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert f"models of the hub need huggingface_hub: {install('hub')}" in refusal("me/tiny")
    codax.load(shipped.DEFAULT)


@pytest.mark.parametrize("of_file", [False, True])
def test_folders_and_files_of_other_projects_are_converted_once(of_file: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    codec = small_models.codec("mimi")
    formats.export_huggingface(codec, tmp_path / "theirs")
    source = tmp_path / "theirs" / ("model.safetensors" if of_file else "")
    assert codax.load(source).sample_rate == codec.sample_rate
    monkeypatch.setattr(imports, "import_model", None)
    folder = models.find(source)
    assert codax.load(source, beam=2).config.quantizer.beam == 2
    monkeypatch.undo()
    config = tmp_path / "theirs" / "config.json"
    config.write_text(config.read_text().replace('"sliding_window": 5', '"sliding_window": 6'))
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    assert models.find(source) != folder


def test_variables_of_the_environment(hub: Hub, tiny: Repo, tmp_path: Path) -> None:
    """As a user sets them, in a process of its own: address, token, cache and offline mode."""
    tiny.private = True
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | variables

    def info(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "codax", "info", "me/tiny"]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False)

    described = info(HF_TOKEN=hub.token)
    assert described.returncode == 0 and "tiny_soundstream" in described.stdout and described.stderr == ""
    hub.requests.clear()
    offline = info(HF_HUB_OFFLINE="1")
    assert (offline.stdout, offline.stderr, hub.requests) == (described.stdout, "", [])
    assert str(tmp_path / "home" / "hub" / "models--me--tiny") in offline.stdout
