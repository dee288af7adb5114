"""Live comparison with the `speechtokenizer` package, full size, where it is installed.

pip install torch==2.13.0 einops scipy beartype && pip install --no-deps speechtokenizer
"""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from codax.interop.formats import import_model
from codax.interop.speechtokenizer import export_speechtokenizer
from peer_package import import_peer, randomise
from small_encodec import relative_error

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
CONFIG = {
    "sample_rate": 16000, "n_filters": 64, "strides": [8, 5, 4, 2], "dimension": 1024, "semantic_dimension": 768,
    "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1, "lstm_layers": 2,
    "activation": "ELU", "codebook_size": 1024, "n_q": 8,
}  # fmt: skip


@pytest.fixture(params=["full", "other"])
def pair(request, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A model of the package with random weights, and the same one imported from its folder."""
    import_peer(monkeypatch, "speechtokenizer", without=("speechtokenizer.trainer",))
    values = dict(CONFIG)
    if request.param == "other":
        values |= {"n_filters": 8, "dimension": 32, "semantic_dimension": 32, "bidirectional": False, "n_q": 3}
        values |= {"n_residual_layers": 2, "strides": [4, 3, 2]}
    torch.manual_seed(0)
    model = importlib.import_module("speechtokenizer.model").SpeechTokenizer(values).eval()
    randomise(model)
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    torch.save(model.state_dict(), folder / "SpeechTokenizer.pt")
    return model, import_model(folder)


@pytest.mark.parametrize("length", [16_000 + 17, 3200, 640])
def test_codes_audio_and_features_both_ways(pair, tmp_path, length: int) -> None:
    model, codec = pair
    export_speechtokenizer(codec, tmp_path / "ours")
    files = [str(tmp_path / "ours" / name) for name in ("config.json", "SpeechTokenizer.pt")]
    repeated = type(model).load_from_checkpoint(*files).eval()
    audio = 0.2 * np.random.default_rng(0).standard_normal((2, length, 1)).astype(np.float32)
    signal = torch.from_numpy(np.moveaxis(audio, 1, 2).copy())
    for kbps in codec.config.quantizer.kbps:
        levels = codec.config.quantizers_for(kbps)
        tokens = codec.encode(audio, kbps=kbps)
        decoded = codec.decode(tokens)
        for theirs in (model, repeated):
            with torch.no_grad():
                codes = theirs.encode(signal, n_q=levels)
                expected = theirs.decode(codes).numpy()
                _, _, features = theirs(signal, n_q=levels)
            np.testing.assert_array_equal(tokens.codes, np.moveaxis(codes.numpy(), 0, -1))
            assert relative_error(decoded, np.moveaxis(expected, 1, 2)[:, :length]) < 1e-4
        if codec.config.model.semantic_dimension:
            assert relative_error(codec.semantic(tokens), features.numpy()) < 1e-4
