"""EnCodec's language model: the numbers of the `encodec` package (tests/golden/make_encodec_lm.py), and its weights."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from codax.interop.encodec import LayoutError
from codax.interop.encodec_lm import config_of_state, from_codax, import_lm, to_codax
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, previous_codes
from codax.lm.predictor import LM
from codax.storage.tensors import ModelError
from safetensors.numpy import save_file

with np.load(Path(__file__).parents[1] / "golden" / "encodec_lm.npz") as arrays:
    GOLDEN = {k.removeprefix("lm/"): v for k, v in arrays.items() if k.startswith("lm/")}
STATE = {k.removeprefix("state/"): v for k, v in GOLDEN.items() if k.startswith("state/")}
CONFIG = LMConfig(codebooks=4, codebook_size=32, dim=16, layers=2, heads=2, hidden=64, past_context=6)


@pytest.fixture
def imported(tmp_path) -> LM:
    save_file(STATE, tmp_path / "lm.safetensors")
    return import_lm(tmp_path / "lm.safetensors", past_context=6, heads=2)


@pytest.mark.parametrize("offset", [0, 700])
@pytest.mark.parametrize("codebooks", [4, 3])
def test_probabilities_are_those_of_the_package(imported: LM, offset: int, codebooks: int) -> None:
    assert imported.config == CONFIG
    expected = GOLDEN[f"probabilities{'' if codebooks == 4 else '_of_3'}/{offset}"]
    previous = np.asarray(previous_codes(GOLDEN["codes"][..., :codebooks]))
    assert previous.shape[1] > 2 * CONFIG.past_context
    whole = jax.nn.softmax(jax.jit(LanguageModel(CONFIG).apply)({"params": imported.params}, previous, offset), axis=-1)
    np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_weights_come_back_as_they_went(imported: LM) -> None:
    back = from_codax(imported.flat(), CONFIG)
    assert set(back) == set(STATE)
    for name, value in STATE.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_the_released_sizes_are_known() -> None:
    def state(codebooks: int) -> dict[str, np.ndarray]:
        return {f"emb.{k}.weight": np.zeros((1025, 200)) for k in range(codebooks)} | {
            f"transformer.layers.{i}.{name}": np.zeros((800, 200))
            for i in range(5)
            for name in ("linear1.weight", "self_attn.in_proj_weight")
        }

    assert config_of_state(state(32)) == LMConfig()
    assert config_of_state(state(16)) == LMConfig(codebooks=16, past_context=525)
    with pytest.raises(LayoutError, match="8 codebooks: say how many frames"):
        config_of_state(state(8))


def test_other_weights_are_refused(tmp_path) -> None:
    def refused(state: dict[str, np.ndarray], message: str) -> None:
        save_file(state, tmp_path / "lm.safetensors")
        with pytest.raises(ModelError, match=r"lm\.safetensors: .*" + message):
            import_lm(tmp_path / "lm.safetensors", 6, 2)

    refused({"a": np.zeros(2, np.float32)}, "not the weights of EnCodec's language model")
    refused({k: v for k, v in STATE.items() if k != "linears.1.bias"}, r"linears\.1\.bias is missing")
    refused(STATE | {"linears.4.bias": np.zeros(2, np.float32)}, r"linears\.4\.bias does not belong to")
    refused(STATE | {"emb.2.weight": np.zeros((9, 16), np.float32)}, r"emb\.2\.weight does not have the shape of")
    refused(STATE | {"transformer.norm_in.bias": np.zeros(9, np.float32)}, r"norm_in\.bias is float32\[9\]")
    refused(STATE | {"linears.1.bias": np.full(32, np.nan, np.float32)}, "not finite")
    with pytest.raises(ModelError, match=r"absent\.th: no such file"):
        import_lm(tmp_path / "absent.th")
    with pytest.raises(LayoutError, match="missing"):
        to_codax({}, CONFIG)
