"""The models in the package: small, described, used by default, and good for what their cards say."""

from __future__ import annotations

import json

import codax
import numpy as np
import pytest
from codax.codec import shipped
from codax.storage.tensors import ModelError, read_safetensors

MOST_BYTES = 12_000_000
# Of each model: its hash, and the codes of one frame.
RELEASED = {
    "soundstream-speech": ("2031002a28a23eac", [951, 913, 421, 462, 315, 237, 685, 278, 876]),
    "speechtokenizer-speech": ("8af07186a24ca320", [881, 808, 563, 923, 802, 937, 948, 843]),
}


@pytest.fixture(params=shipped.names())
def name(request) -> str:
    return request.param


def test_the_default_is_there():
    assert shipped.DEFAULT in shipped.names()


def test_size_type_and_card(name):
    folder = shipped.find(name)
    weights = folder / "model.safetensors"
    assert weights.stat().st_size <= MOST_BYTES
    assert {value.dtype for value in read_safetensors(weights).values() if value.dtype != bool} == {np.dtype("float16")}
    assert json.loads((folder / "config.json").read_text())["name"] == name
    card = (folder / shipped.CARD).read_text()
    assert codax.load(name).hash.hex() in card
    for heading in ("Data", "Training", "Scores", "Known failures"):
        assert f"\n## {heading}\n" in card


def test_hash_and_codes_are_those_of_the_release(name):
    """Files that were encoded with a shipped model can be decoded by every later release."""
    codec = codax.load(name)
    time = np.arange(2 * codec.config.model.sample_rate) / codec.config.model.sample_rate
    sound = (0.3 * np.sin(2 * np.pi * 150 * (1 + time) * time)).astype(np.float32)
    codes = codec.encode(sound[None, :, None]).codes
    wanted_hash, wanted = RELEASED[name]
    assert codec.hash.hex() == wanted_hash
    # Near ties between two entries may fall the other way on another processor.
    assert np.mean(codes[0, 50] == wanted) >= 0.75


def test_a_folder_of_the_same_name_is_preferred(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.find(name) == shipped.FOLDER / name
    (tmp_path / name).mkdir()
    assert str(shipped.find(name)) == name
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        codax.load(name)


@pytest.mark.parametrize("wrong", ["nobody", ".", "..", "../models"])
def test_other_names_are_none(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"nor a shipped model \(.*soundstream-speech|not a model folder"):
        codax.load(wrong)
