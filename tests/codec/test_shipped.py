"""The models in the package: small, described, used by default, and good for what their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import codax
import numpy as np
import pytest
from codax.cli.info import describe
from codax.codec import shipped
from codax.storage.tensors import ModelError, read_safetensors
from golden.make_shipped import signal

MOST_BYTES = 12_000_000
GOLDEN = Path(__file__).parents[1] / "golden" / "shipped_codes.npz"


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
    assert codax.load(name).hash.hex() == describe(folder)["hash"]
    assert describe(folder)["hash"] in card
    for heading in ("Data", "Training", "Scores", "Known failures"):
        assert f"\n## {heading}\n" in card


def test_codes_are_those_of_the_release(name):
    """All but a few, where another processor's rounding turns a near tie."""
    codec = codax.load(name)
    with np.load(GOLDEN) as golden:
        expected, digest = golden[name], str(golden[f"{name}.hash"])
    codes = codec.encode(signal(), sample_rate=16_000).codes
    assert codec.hash.hex() == digest and codes.shape == expected.shape
    assert np.mean(codes == expected) > 0.99


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
