"""Headers of safetensors files, indexes of several files, and pointers instead of files."""

import json

import ml_dtypes
import numpy as np
import pytest
from codax.storage.tensors import ModelError, read_shapes, read_tensors
from safetensors.numpy import save_file

LEAST = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def write(path, header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_shapes_are_read_without_the_arrays(tmp_path):
    arrays = {
        "a": np.ones((2, 3), np.float32),
        "b": np.zeros((), bool),
        "c": np.zeros((4, 0), np.int64),
        "d": np.ones(3, ml_dtypes.bfloat16),
    }
    save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    assert read_shapes(tmp_path / "a.safetensors") == {"a": (2, 3), "b": (), "c": (4, 0), "d": (3,)}
    loaded = read_tensors(tmp_path / "a.safetensors")
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded[name], value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": "F8_E5M2"}, "a: arrays of type F8_E5M2 are not supported"),
        ({"dtype": "C64"}, "a: arrays of type C64 are not supported"),
        ({"dtype": 7}, "a: has no type, shape or place"),
        ({"shape": [2.0]}, "a: has no type, shape or place"),
        ({"shape": [-2]}, "a: has no type, shape or place"),
        ({"shape": [True, True]}, "a: has no type, shape or place"),
        ({"shape": 2}, "a: has no type, shape or place"),
        ({"shape": [1 << 62, 1 << 62]}, "a: 8 bytes do not hold F32"),
        ({"shape": [1] * 100 + [2]}, "not a readable safetensors file"),
        ({"data_offsets": [0]}, "a: has no type, shape or place"),
        ({"data_offsets": [8, 0]}, "a: -8 bytes do not hold F32"),
        ({"data_offsets": [1 << 50, (1 << 50) + 8]}, "or are not all in the file"),
    ],
)
def test_entries_that_cannot_be(tmp_path, change, reason):
    path = write(tmp_path / "a.safetensors", {"a": LEAST | change})
    with pytest.raises(ModelError, match=rf"a\.safetensors: .*{reason}") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "longer than the file"),
        (b"\xff" * 8, "longer than the file"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "longer than the file"),
        ((2).to_bytes(8, "little") + b"[]", "not an object"),
        ((100_000).to_bytes(8, "little") + b"[" * 100_000, "nested deeper"),
        ((24).to_bytes(8, "little") + b'{"a": 1, "a": [NaN, 1] }', "NaN"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "a: has no type"),
    ],
)
def test_headers_that_are_none(tmp_path, content, reason):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"a\.safetensors: .*{reason}"):
        read_shapes(tmp_path / "a.safetensors")


def index(folder, places):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def test_an_index_stands_for_the_arrays_of_its_files(tmp_path):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "1.safetensors")
    save_file({"b": np.zeros(3, np.float32)}, tmp_path / "2.safetensors")
    loaded = read_tensors(index(tmp_path, {"a": "1.safetensors", "b": "2.safetensors"}))
    assert {name: value.shape for name, value in loaded.items()} == {"a": (2,), "b": (3,)}


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"a": "../1.safetensors"}, "'../1.safetensors' is not the name of a file beside it"),
        ({"a": "/dev/zero"}, "'/dev/zero' is not the name of a file beside it"),
        ({"a": "model.safetensors.index.json"}, "is not the name of a file beside it"),
        ({"a": "1.safetensors", "b": "1.safetensors"}, "b is missing in 1.safetensors"),
        ({"a": "2.safetensors"}, r"2\.safetensors: no such file"),
        ({"a": 1}, "not a readable index"),
        ([], "not a readable index"),
    ],
)
def test_indexes_that_do_not_fit(tmp_path, places, reason):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "1.safetensors")
    with pytest.raises(ModelError, match=reason):
        read_tensors(index(tmp_path, places))


@pytest.mark.parametrize("name", ["a.safetensors", "a.th", "pytorch_model.bin"])
def test_pointers_of_git_lfs_are_named(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(ModelError, match=rf"{name}: a Git-LFS pointer instead of the file itself"):
        read_tensors(tmp_path / name)
