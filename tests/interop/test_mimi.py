"""Mimi gives what the `moshi` package gives in coding, streams, import and export; other files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.codec.loading import from_weights, load
from codax.config import presets
from codax.errors import CodaxError
from codax.interop import formats, mimi, mimi_config
from codax.nets.weightnorm import DIRECTION
from safetensors.numpy import load_file, save_file
from small_encodec import lengths, relative_error, signal, state_of

with np.load(Path(__file__).parents[1] / "golden" / "mimi.npz") as stored:
    ARRAYS = dict(stored)
VALUES = json.loads(ARRAYS["config"].tobytes())


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of Kyutai's."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    save_file(state_of(ARRAYS), folder / "mimi.safetensors")
    (folder / "mimi_config.json").write_text(json.dumps(VALUES))
    return folder


@pytest.fixture(scope="module")
def codec() -> Codec:
    config = mimi_config.config_from_kyutai(VALUES)
    return from_weights(mimi.to_codax(state_of(ARRAYS), config, mimi.KYUTAI), config, Path("golden"))


@pytest.mark.parametrize("length", lengths(ARRAYS))
def test_codes_and_audio_equal_those_of_the_package(codec: Codec, length: int) -> None:
    tokens = codec.encode(signal(ARRAYS, length))
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 1, 2))
    expected = np.moveaxis(ARRAYS[f"decoded/{length}"], 1, 2)[:, :length]
    assert relative_error(codec.decode(tokens), expected) < 1e-5
    encoder, decoder = codec.stream(batch=2)
    codes = [encoder.push(signal(ARRAYS, length)[:, i : i + 48]) for i in range(0, length, 48)] + [encoder.finish()]
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), tokens.codes)
    frames = np.concatenate([decoder.push(c) for c in codes], axis=1)[:, :length]
    assert relative_error(frames, expected) < 1e-5


def test_the_released_model_has_its_size() -> None:
    config = presets.mimi_24khz().validate()
    assert (config.hop, config.frame_rate, config.latency_ms) == (1920, 12.5, 80.0)
    assert config.kbps(8) == pytest.approx(1.1)
    counts = dict.fromkeys(("seanet", "transformer", "sample", "quantizer", "embedding"), 0)
    for name, value in Codec.init_random(config).flat().items():
        for part in counts:
            if part in name and (name.startswith("params.") or part == "embedding"):
                counts[part] += value.size
                break
    assert counts["embedding"] == 32 * 2048 * 256
    assert counts["transformer"] == 50_380_800
    assert counts["sample"] == 512 * 512 * 4 + 512 * 4
    assert counts["quantizer"] == 4 * 512 * 256
    assert sum(counts.values()) - counts["embedding"] == 79_308_609


def test_kyutais_folder_comes_back(codec: Codec, theirs: Path, tmp_path: Path) -> None:
    imported = formats.import_model(theirs)
    imported.save(tmp_path / "codax")
    loaded = load(tmp_path / "codax")
    assert loaded.config == mimi_config.config_from_kyutai(VALUES)
    formats.export_kyutai(loaded, tmp_path / "back")
    written, expected = load_file(tmp_path / "back" / "mimi.safetensors"), state_of(ARRAYS)
    renamed = {mimi._usual_name(name): value for name, value in expected.items()}
    assert set(written) == set(renamed)
    for name, value in renamed.items():
        np.testing.assert_array_equal(written[name], value, err_msg=name)
    assert json.loads((tmp_path / "back" / "mimi_config.json").read_text()) | {"x": 0} == {
        **VALUES, "quantizer": VALUES["quantizer"] | {"n_q_semantic": 1}, "x": 0
    }  # fmt: skip


def test_transformers_folder_comes_back(codec: Codec, tmp_path: Path) -> None:
    formats.export_huggingface(codec, tmp_path / "hf")
    repeated = formats.import_model(tmp_path / "hf")
    assert repeated.config.model == codec.config.model and repeated.config.quantizer == codec.config.quantizer
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(repeated.flat()[name], value, err_msg=name)
    values = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (values["model_type"], values["num_semantic_quantizers"], values["sliding_window"]) == ("mimi", 1, 20)
    names = set(load_file(tmp_path / "hf" / "model.safetensors"))
    assert "encoder_transformer.layers.1.self_attn.q_proj.weight" in names
    assert "quantizer.acoustic_residual_vector_quantizer.layers.4.codebook.embed_sum" in names


def test_a_model_as_it_is_trained_here_is_folded(tmp_path: Path) -> None:
    """Weight normalisation, a head of distillation, and counts that codax smooths."""
    config = mimi_config.config_from_kyutai(VALUES)
    config.model.seanet.norm, config.model.semantic_dimension, config.quantizer.smoothing = "weight", 12, True
    codec = Codec.init_random(config.validate(), seed=3)
    assert any(DIRECTION in name for name in codec.flat())
    audio = signal(ARRAYS, lengths(ARRAYS)[1])
    tokens = codec.encode(audio)
    for export in (formats.export_huggingface, formats.export_kyutai):
        export(codec, tmp_path / export.__name__)
        repeated = formats.import_model(tmp_path / export.__name__)
        np.testing.assert_array_equal(repeated.encode(audio).codes, tokens.codes)
        assert relative_error(repeated.decode(tokens), codec.decode(tokens)) < 1e-5


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda s: s.pop("downsample.conv.conv.conv.weight"), "downsample.conv.conv.conv.weight is missing"),
        (lambda s: s.update({"extra.weight": np.zeros(3, np.float32)}), "extra.weight does not belong to"),
        (
            lambda s: s.update({"upsample.convtr.convtr.convtr.weight": np.zeros((32, 32, 4), np.float32)}),
            "upsampling must be depthwise",
        ),
    ],
)
def test_other_weights_are_refused(theirs: Path, change, message: str) -> None:
    state = state_of(ARRAYS)
    change(state)
    save_file(state, theirs / "mimi.safetensors")
    with pytest.raises(CodaxError, match=message):
        formats.import_model(theirs)


@pytest.mark.parametrize("field,value", [("seanet", {}), ("frame_rate", 0), ("transformer", None), ("channels", "x")])
def test_other_configs_are_refused(theirs: Path, field: str, value: object) -> None:
    (theirs / "mimi_config.json").write_text(json.dumps(VALUES | {field: value}))
    with pytest.raises(CodaxError, match="theirs"):
        formats.import_model(theirs)


@pytest.mark.parametrize(
    "field,value",
    [("hidden_act", "silu"), ("num_key_value_heads", 1), ("upsample_groups", 1), ("upsampling_ratios", "abc")],
)
def test_other_configs_of_transformers_are_refused(codec: Codec, tmp_path: Path, field: str, value: object) -> None:
    formats.export_huggingface(codec, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {field: value}))
    with pytest.raises(CodaxError):
        formats.import_model(tmp_path)


def test_a_mimi_of_another_shape_is_not_exported(tmp_path: Path) -> None:
    config = mimi_config.config_from_kyutai(VALUES)
    config.quantizer.projection = 0
    codec = Codec.init_random(config.validate())
    for export in (formats.export_huggingface, formats.export_kyutai):
        with pytest.raises(CodaxError, match="does not have the architecture of a Mimi"):
            export(codec, tmp_path / "out")
    assert not (tmp_path / "out").exists()
