"""Importing and exporting as a user does, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from codax.codec.loading import load
from codax.config import Config
from codax.interop import audiocraft, encodec, formats
from codax.storage.tensors import ModelError
from safetensors.numpy import save_file
from small_encodec import golden, small_codec, small_config, state_of

YAML = """
sample_rate: 2400
channels: 1
encodec: {autoencoder: seanet, quantizer: rvq, sample_rate: "${sample_rate}", causal: true, renormalize: false}
seanet:
  {dimension: 16, channels: "${channels}", causal: "${encodec.causal}", n_filters: 4, n_residual_layers: 1,
   ratios: [4, 3, 2], activation: ELU, norm: weight_norm, kernel_size: 7, residual_kernel_size: 3, last_kernel_size: 7,
   dilation_base: 2, pad_mode: reflect, true_skip: false, compress: 2, lstm: 2, disable_norm_outer_blocks: 0,
   decoder: {trim_right_ratio: 1.0, final_activation: null}}
rvq: {n_q: 4, bins: 32}
"""


@pytest.mark.parametrize("kind", ["24khz", "48khz"])
def test_a_folder_of_transformers_comes_back_as_it_went(kind: str, tmp_path) -> None:
    codec = small_codec(kind)
    formats.export_huggingface(codec, tmp_path / "hf")
    repeated = formats.import_model(tmp_path / "hf")
    repeated.save(tmp_path / "codax")
    loaded = load(tmp_path / "codax")
    expected = codec.config.to_dict()
    assert {**loaded.config.to_dict(), "name": expected["name"]} == expected
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(loaded.flat()[name], value, err_msg=name)


def test_audiocrafts_configuration_is_read(tmp_path) -> None:
    config, expected = audiocraft.config_of(YAML), small_config("24khz")
    assert config.model == expected.model
    assert (config.quantizer.num_quantizers, config.quantizer.codebook_size) == (4, 32)
    assert config.quantizer.kbps == (0.5, 1.0, 2.0)
    assert audiocraft.is_export({"best_state": state_of(golden("24khz")), "xp.cfg": YAML})
    encodec.to_codax(state_of(golden("24khz")), config, encodec.NATIVE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("activation: ELU", "activation: GELU", "seanet.activation = 'GELU'"),
        ("compress: 2, ", "", "compress"),
        ("bins: 32", 'bins: "${rvq.bins}"', "refers to itself"),
        ("channels: 1\n", "channels: [\n", "not the configuration"),
        ("lstm: 2", "lstm: two", "lstm_layers"),
    ],
)
def test_other_configurations_of_audiocraft_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        audiocraft.config_of(YAML.replace(old, new))
    assert caught.type.__name__ in ("LayoutError", "ConfigError")


def test_the_kind_of_a_bare_checkpoint_is_seen(tmp_path) -> None:
    state = state_of(golden("24khz"))
    config = encodec.config_of_state(state)
    assert (config.model.channels, config.model.dimension, config.quantizer.num_quantizers) == (4, 16, 4)
    assert encodec.config_of_state(state_of(golden("48khz"))).model.audio_channels == 2
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"other\.safetensors: not the weights of an EnCodec model"):
        formats.import_model(tmp_path / "other.safetensors")
    # The strides of this small model are not the released ones, which a bare checkpoint cannot tell.
    save_file(state, tmp_path / "small.safetensors")
    with pytest.raises(ModelError, match=r"small\.safetensors: .*encoder"):
        formats.import_model(tmp_path / "small.safetensors")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_named(missing: str, tmp_path) -> None:
    formats.export_huggingface(small_codec("24khz"), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=missing.replace(".", r"\.")):
        formats.import_model(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "mimi"),
        ("norm_type", "batch"),
        ("num_filters", "x"),
        ("upsampling_ratios", 3),
        ("codebook_size", 0),
    ],
)
def test_a_config_that_cannot_be_is_refused(field: str, value: object, tmp_path) -> None:
    formats.export_huggingface(small_codec("24khz"), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {field: value}))
    with pytest.raises(ModelError):
        formats.import_model(tmp_path)


def test_soundstream_is_not_exported(tmp_path) -> None:
    codec = small_codec("24khz")
    codec.config = Config()
    with pytest.raises(ModelError, match="not in transformers"):
        formats.export_huggingface(codec, tmp_path)
