"""SpeechTokenizer equals the `speechtokenizer` package in coding, import and export; other folders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax.codec.codec import Codec, Tokens
from codax.codec.loading import from_weights, load
from codax.config import presets
from codax.errors import CodaxError
from codax.interop import encodec, formats
from codax.interop import speechtokenizer as st
from safetensors.numpy import save_file
from small_encodec import lengths, relative_error, signal, state_of

with np.load(Path(__file__).parents[1] / "golden" / "speechtokenizer.npz") as stored:
    ARRAYS = dict(stored)
VALUES = json.loads(ARRAYS["config"].tobytes())


@pytest.fixture(scope="module")
def codec() -> Codec:
    config = st.config_of(VALUES)
    return from_weights(encodec.to_codax(state_of(ARRAYS), config, encodec.NATIVE), config, Path("golden"))


@pytest.mark.parametrize("length", lengths(ARRAYS))
def test_codes_audio_and_features_equal_those_of_the_package(codec: Codec, length: int) -> None:
    tokens = codec.encode(signal(ARRAYS, length))
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 0, -1))
    expected = np.moveaxis(ARRAYS[f"decoded/{length}"], 1, 2)[:, :length]
    assert relative_error(codec.decode(tokens), expected) < 1e-5
    assert relative_error(codec.semantic(tokens), ARRAYS[f"features/{length}"]) < 1e-5


def test_the_released_model_has_its_size() -> None:
    config = presets.speechtokenizer_16khz()
    assert config.validate().kbps(8) == 4.0
    assert st.config_of(st.config_values(config)) == config
    codec = Codec.init_random(config)
    counts = dict.fromkeys(("codebook", "head", "rest"), 0)
    for name, value in codec.flat().items():
        kind = "head" if ".transform." in name else "rest" if name.startswith("params.") else "codebook"
        counts[kind] += value.size if kind != "codebook" or name.endswith("embedding") else 0
    assert counts["codebook"] == 8 * 1024 * 1024
    assert counts["head"] == 1024 * 768 + 768
    assert counts["rest"] == 102_863_810  # PyTorch counts 24,576 more: an LSTM has two biases there


def test_a_folder_comes_back(codec: Codec, tmp_path) -> None:
    (tmp_path / "theirs").mkdir()
    save_file(state_of(ARRAYS), tmp_path / "theirs" / "model.safetensors")
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(VALUES))
    imported = formats.import_model(tmp_path / "theirs")
    imported.save(tmp_path / "codax")
    loaded = load(tmp_path / "codax")
    assert loaded.config == st.config_of(VALUES)
    back = encodec.from_codax(loaded.flat(), loaded.config, encodec.NATIVE)
    repeated = encodec.to_codax(back, loaded.config, encodec.NATIVE)
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(repeated[name], value, err_msg=name)
    audio = signal(ARRAYS, lengths(ARRAYS)[0])
    np.testing.assert_array_equal(loaded.encode(audio).codes, codec.encode(audio).codes)
    assert st.config_values(loaded.config) == VALUES


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"activation": "Snake"}, "activation 'Snake': codax supports ELU only"),
        ({"strides": 4}, "not the config of a SpeechTokenizer"),
        ({"n_q": "many"}, "not the config of a SpeechTokenizer"),
        ({"bidirectional": False}, "does not belong to the model|shape"),
        ({"n_q": 5}, "quantizer.vq.layers.4._codebook.embed is missing"),
        ({"semantic_dimension": 13}, "params.transform"),
    ],
)
def test_other_folders_are_refused(tmp_path, changes, reason) -> None:
    save_file(state_of(ARRAYS), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(VALUES | changes))
    with pytest.raises(CodaxError, match=reason) as caught:
        formats.import_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_what_the_project_does_not_have_is_refused(codec: Codec, tmp_path) -> None:
    with pytest.raises(CodaxError, match="does not have the architecture of a SpeechTokenizer"):
        st.config_values(presets.encodec_24khz())
    plain = Codec.init_random(small_plain())
    with pytest.raises(CodaxError, match="no semantic features"):
        plain.semantic(Tokens(np.zeros((1, 2, 1), np.int32), length=48, sample_rate=1200))


def small_plain():
    """A config as the golden one, whose head has the latent's width: no weights, as in the package."""
    config = st.config_of(VALUES | {"semantic_dimension": VALUES["dimension"]})
    assert config.model.semantic_dimension == 0
    return config
