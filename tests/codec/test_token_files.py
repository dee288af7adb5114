"""Files of tokens: `Tokens.save` and `Tokens.load`."""

import dataclasses

import numpy as np
import pytest
import small_models
from codax.codec.tokens import Tokens
from codax.errors import CodaxError
from codax.storage.tensors import read_safetensors, safetensors_bytes
from signals import uniform_noise


@pytest.mark.parametrize("family", ["soundstream", "encodec_48khz", "denoise"])
def test_saved_tokens_come_back_and_decode_to_the_same_audio(tmp_path, family):
    codec = small_models.codec(family)
    clips = [uniform_noise(seconds, 12_000, seed=1).reshape(-1, 1) for seconds in (0.3, 0.2)]
    options = {"channels": "mid-side"} if family == "soundstream" else {"denoise": family == "denoise"}
    tokens = codec.encode([np.repeat(clip, 2, axis=1) for clip in clips], sample_rate=12_000, **options)
    tokens.save(tmp_path / "a.safetensors", model_hash=codec.hash)
    loaded = Tokens.load(tmp_path / "a.safetensors", model_hash=codec.hash)
    for field in dataclasses.fields(Tokens):
        before, after = getattr(tokens, field.name), getattr(loaded, field.name)
        assert np.array_equal(before, after) if before is not None else after is None, field.name
    assert loaded.codes.dtype == np.int32
    assert np.array_equal(codec.decode(loaded), codec.decode(tokens))
    with pytest.raises(CodaxError, match=f"has tokens of the model with hash {codec.hash.hex()}, not 3030"):
        Tokens.load(tmp_path / "a.safetensors", model_hash=b"00")


def test_codes_of_large_codebooks_come_back(tmp_path):
    tokens = Tokens(np.asarray([[[1 << 15, 0], [(1 << 31) - 1, 1]]], np.int32), 20, 8_000)
    tokens.save(tmp_path / "a.safetensors")
    assert np.array_equal(Tokens.load(tmp_path / "a.safetensors").codes, tokens.codes)


@pytest.mark.parametrize(
    "change",
    [
        {"codes": np.zeros((2, 3), np.int16)},
        {"codes": np.zeros((2, 8, 3), np.float32)},
        {"codes": np.full((2, 8, 3), -1, np.int16)},
        {"codes": np.full((2, 8, 3), 1 << 40)},
        {"codes": np.zeros((3, 8, 3), np.int16)},
        {"length": np.asarray(0)},
        {"length": np.asarray(float("inf"))},
        {"sample_rate": np.asarray([8_000])},
        {"channels": None},
        {"scales": np.full((2, 2), np.nan, np.float32)},
        {"scales": np.ones((1, 2), np.float32)},
        {"lengths": None},
        {"lengths": np.asarray([60, 61])},
        {"frames": np.asarray([9, 1])},
        {"frames": np.asarray([], np.int64), "lengths": np.asarray([], np.int64)},
        {"frames": np.asarray([8])},
        {"other": np.zeros(3)},
    ],
)
def test_forged_files_are_refused_in_one_line(tmp_path, change):
    path = tmp_path / "a.safetensors"
    codes, lengths, frames = np.zeros((2, 8, 3), np.int32), np.asarray([60, 30]), np.asarray([8, 4])
    Tokens(codes, 60, 8_000, scales=np.ones((2, 2), np.float32), lengths=lengths, frames=frames).save(path)
    Tokens.load(path)
    arrays = read_safetensors(path) | change
    path.write_bytes(safetensors_bytes({name: value for name, value in arrays.items() if value is not None}))
    with pytest.raises(CodaxError, match=r"a\.safetensors: not a file of tokens") as caught:
        Tokens.load(path)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_file_of_tokens_is_refused_in_one_line(tmp_path):
    (tmp_path / "a").write_bytes(b"\x80\x04pickle")
    for name in ("a", "missing", "."):
        with pytest.raises(CodaxError) as caught:
            Tokens.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(CodaxError, match="cannot be written"):
        Tokens(np.zeros((1, 1, 1), np.int32), 1, 8_000).save(tmp_path / "no folder" / "a")
