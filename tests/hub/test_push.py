"""Uploads of models with their cards, and the commands that take names on the hub."""

from __future__ import annotations

import json
from pathlib import Path

import codax
import numpy as np
import pytest
import small_models
import yaml
from codax import audio
from codax.codec.codec import Codec
from codax.codec.folder import write_model
from codax.errors import CodaxError
from codax.evaluation.codecs import find_models
from codax.interop import formats, models
from command import run  # noqa: F401 (a fixture)
from huggingface_hub import constants
from loopback import Hub, Repo


@pytest.fixture
def codec() -> Codec:
    return small_models.codec("soundstream")


@pytest.fixture
def folder(codec: Codec, tmp_path: Path) -> Path:
    write_model(tmp_path / "run" / "export", codec.config, codec.flat(), half=True)
    return tmp_path / "run" / "export"


@pytest.fixture
def token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)


def card_of(hub: Hub, name: str = "me/tiny") -> tuple[dict, str]:
    """The metadata and the text of a card."""
    _, head, text = hub.files(name)["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(head), text


def results_of(codec: Codec, digest: str) -> dict:
    value = {"mean": 3.456789, "low": 3.4, "high": 3.5, "n": 9, "unit": "MOS", "better": "higher"}
    return {
        "format": "codax-results",
        "models": [{"name": "mine", "hash": digest}, {"name": "other", "hash": "00" * 8}],
        "data": {"spec": "speech", "split": "test", "utterances": 9},
        "metrics": {
            "pesq": {"label": "PESQ", "unit": "MOS", "digits": 2},
            "wer": {"label": "WER", "unit": "%", "digits": 1},
        },
        "systems": [
            {"series": series, "kind": kind, "nominal_kbps": 10.0, "metrics": {"pesq": value, "wer": None}}
            for series, kind in (("original", "original"), ("mine", "codec"), ("other", "codec"))
        ],
    }  # fmt: skip


def test_a_pushed_model_is_loaded_again(hub: Hub, token: None, codec: Codec) -> None:
    assert codec.push_to_hub("me/tiny", private=True, license="cc0-1.0") == f"{hub.url}/me/tiny"
    assert set(hub.files("me/tiny")) == {"README.md", "config.json", "model.safetensors"}
    assert hub.repos["me/tiny"].private
    loaded = codax.load("me/tiny")
    signal = small_models.signal(codec, 1, 20)
    np.testing.assert_array_equal(loaded.encode(signal).codes, codec.encode(signal).codes)
    assert loaded.hash == codec.hash
    metadata, text = card_of(hub)
    assert (metadata["library_name"], metadata["license"]) == ("codax", "cc0-1.0")
    assert metadata["tags"] == ["codax", "neural-audio-codec", "soundstream"]
    for part in ("8000 Hz, mono", "4 of 32 entries", "20 kbps", codec.hash.hex(), "codax.load('me/tiny')"):
        assert part in text
    assert "## Data" not in text  # where it was trained is not known


def test_private_files_are_not_pushed_to_a_public_repository(hub: Hub, token: None, codec: Codec) -> None:
    codec.push_to_hub("me/tiny")
    before = set(hub.repos["me/tiny"].commits)
    with pytest.raises(CodaxError, match="me/tiny: exists and is public"):
        codec.push_to_hub("me/tiny", private=True)
    assert set(hub.repos["me/tiny"].commits) == before


def test_the_card_has_the_text_of_the_model_its_data_and_its_results(
    hub: Hub,
    token: None,
    codec: Codec,
    folder: Path,
    run,  # noqa: F811
) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: fr\n---\n# My model\n\nOf my voice.\n")
    (folder.parent / "metrics.jsonl").touch()
    (folder / "lm").mkdir()
    (folder / "lm" / "lm.json").write_text("{}")
    digest = codax.load(folder).hash.hex()
    results = folder / "results.json"
    results.write_text(json.dumps(results_of(codec, digest)))
    command = ("push", folder, "me/tiny", "--results", results, "--message", "First.")
    assert run(*command) == (0, f"{hub.url}/me/tiny: {folder} is uploaded\n", "")
    metadata, text = card_of(hub)
    assert (metadata["license"], metadata["language"]) == ("mit", "fr")
    entry = metadata["model-index"][0]["results"]
    assert [one["value"] for each in entry for one in each["metrics"]] == [3.456789]
    assert text.index("# My model\n\nOf my voice.") < text.index("## Model") < text.index("## Data")
    assert "Trained on `starter`" in text and "| 10 kbps | 3.46 ±0.05 |" in text
    whole = hub.files("me/tiny")
    assert whole["lm/lm.json"] == b"{}"
    assert whole["model.safetensors"] == (folder / "model.safetensors").read_bytes()  # in 16 bits still
    # A model that came from the hub is pushed with the card that it has.
    copy = models.find("me/tiny")
    assert (copy / "lm" / "lm.json").read_bytes() == b"{}"
    assert run("push", "me/tiny", "me/copy", "--license", "cc0-1.0")[0] == 0
    repeated, same = card_of(hub, "me/copy")
    assert same == text.replace("me/tiny", "me/copy")
    assert (repeated["license"], repeated["model-index"]) == ("cc0-1.0", metadata["model-index"])
    assert run("push", "me/tiny", "me/copy", "--results", results)[0] == 0
    assert card_of(hub, "me/copy")[1] == same
    small_models.codec("beam").save(folder)
    (folder / "README.md").write_bytes(whole["README.md"])
    assert run("push", folder, "me/other")[0] == 0  # other weights: these results are not theirs
    assert "Results" not in card_of(hub, "me/other")[1] and "model-index" not in card_of(hub, "me/other")[0]


def test_failures_of_a_push_are_one_line_and_write_nothing(hub: Hub, codec: Codec, folder: Path, monkeypatch) -> None:
    (folder / "results.json").write_text(json.dumps(results_of(codec, "11" * 8)))
    (folder / "other.json").write_text("{}")

    def refusal(name: str, **options: object) -> str:
        with pytest.raises(CodaxError) as caught:
            codec.push_to_hub(name, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "me/tiny: http" in (message := refusal("me/tiny")) and "refuses (401: Invalid username" in message
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert "refuses (403: You don't have the rights" in refusal("others/tiny")
    for name in ("tiny", "me/tiny/below", "me/tiny@main", "/me/tiny"):
        assert refusal(name) == f"{name}: not the name of a repository: expected USER/NAME"
    assert "results.json: has no results of a model with weights" in refusal("me/a", results=folder / "results.json")
    assert "other.json: not the results of an evaluation" in refusal("me/a", results=folder / "other.json")
    assert "absent.json" in refusal("me/a", results=folder / "absent.json")
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(CodaxError, match=r"^me/tiny: README\.md: while parsing"):
        codax.load(folder).push_to_hub("me/tiny")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in refusal("me/tiny")
    assert hub.repos == {}


def test_every_command_takes_names_of_the_hub(
    hub: Hub,
    token: None,
    tmp_path: Path,
    run,  # noqa: F811
) -> None:
    codec = small_models.codec("mimi")
    formats.export_huggingface(codec, tmp_path / "theirs")
    hub.repos["kyutai/mimi"] = Repo(private=True)
    hub.repos["kyutai/mimi"].add({path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()})
    audio.write("in.wav", small_models.signal(codec, 1, 40)[0], codec.sample_rate)
    status, out, err = run("pull", "kyutai/mimi")
    assert status == 0 and (Path(out.strip()) / "model.safetensors").is_file() and err.count("\n") == 1
    hub.requests.clear()
    for command in (
        ("encode", "in.wav", "a.codax", "--model", "kyutai/mimi"),
        ("encode", "in.wav", "b.codax", "--model", "theirs"),
        ("decode", "a.codax", "a.wav"),  # found by its hash
        ("info", "kyutai/mimi"),
        ("info", "theirs/model.safetensors"),
        ("import", "kyutai/mimi", "ours"),
        ("export", "kyutai/mimi", "back"),
        ("info", "ours"),
    ):
        assert run(*command)[::2] == (0, ""), command
    assert hub.requests == []
    assert Path("a.codax").read_bytes() == Path("b.codax").read_bytes()
    assert [one.name for one in find_models(["mine=kyutai/mimi", "theirs"])] == ["mine", "mimi_8khz"]
    assert run("info", "absent.wav") == (1, "", "codax: absent.wav: no such file or folder\n")
    assert run("info", "data/absent.codax")[2] == "codax: data/absent.codax: no such file or folder\n"
    assert hub.requests == []
    for command in (
        ("encode", "in.wav", "c.codax", "--model", "me/absent"),
        ("export", "me/absent", "m"),
        ("info", "me/absent"),
    ):
        status, out, err = run(*command)
        assert (
            (status, out) == (1, "") and err.startswith("codax: me/absent: no such repository") and err.count("\n") == 1
        )
