"""`codax export` for use without codax, as a user runs it."""

from __future__ import annotations

import sys

import codax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import install
from signals import noise


@pytest.fixture
def model(tmp_path) -> str:
    config = Config(name="small")
    config.model.sample_rate, config.model.channels, config.model.strides = 8_000, 4, (2, 4)
    config.model.dilations, config.model.dimension = (1,), 8
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 3, 16, ()
    Codec.init_random(config, seed=1).save(tmp_path / "model")
    return str(tmp_path / "model")


def test_onnx(run, model, tmp_path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from codax.deploy.runtime import Runtime

    status, out, err = run("export", model, tmp_path / "out", "--format", "onnx")
    assert (status, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'out'}: onnx, 100.00% of ") and "codes equal those of JAX, audio within" in out
    audio = noise(1, 800, 1)
    np.testing.assert_array_equal(Runtime.load(tmp_path / "out").encode(audio), codax.load(model).encode(audio).codes)
    status, out, _ = run("export", model, tmp_path / "out", "--format", "onnx", "--no-compare", "--overwrite")
    assert status == 0 and "not compared" in out


def test_stablehlo_and_safetensors(run, model, tmp_path) -> None:
    status, out, err = run("export", model, tmp_path / "hlo", "--format", "stablehlo")
    assert (status, out, err) == (0, f"{tmp_path / 'hlo'}: stablehlo\n", "")
    assert (tmp_path / "hlo" / "encoder_step.stablehlo").is_file()
    status, out, err = run("export", model, tmp_path / "folder", "--format", "safetensors")
    assert (status, out, err) == (0, f"{tmp_path / 'folder'}: safetensors\n", "")
    assert codax.load(tmp_path / "folder").hash == codax.load(model).hash


def test_half(run, model, tmp_path) -> None:
    status, out, err = run("export", model, tmp_path / "out", "--format", "safetensors", "--half")
    assert (status, out, err) == (0, f"{tmp_path / 'out'}: safetensors\n", "")
    assert codax.load(tmp_path / "out").hash != codax.load(model).hash
    status, out, err = run("export", model, tmp_path / "other", "--format", "stablehlo", "--half")
    assert (status, out, err) == (1, "", "codax: --half has no effect without --format safetensors\n")
    status, out, err = run("export", model, tmp_path / "other", "--no-compare")
    assert (status, out, err) == (1, "", "codax: --compare has no effect without --format onnx\n")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_one_line(run, model, tmp_path, monkeypatch, missing) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, missing, None)
    status, out, err = run("export", model, tmp_path / "out", "--format", "onnx")
    assert (status, out) == (1, "") and err.startswith("codax: ") and err.count("\n") == 1
    assert install("onnx") in err and not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(run, model, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    status, out, err = run("export", model, tmp_path / "file", "--format", "stablehlo", "--overwrite")
    assert (status, out) == (1, "") and "cannot save the model" in err and err.count("\n") == 1
