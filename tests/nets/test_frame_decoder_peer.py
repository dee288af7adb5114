"""Live comparison of the decoder at the frame rate with Vocos, where the package and PyTorch are installed.

pip install torch==2.13.0 einops pyyaml huggingface_hub && pip install --no-deps vocos==0.1.0 encodec==0.1.1
"""

from __future__ import annotations

import numpy as np
import pytest
from codax.config import FrameDecoderConfig, SoundStreamConfig
from codax.nets.frame_decoder import Decoder
from peer_package import import_peer

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")


def as_ours(state: dict) -> dict:
    """Vocos's parameters as those of `Decoder`."""
    value = {name: tensor.detach().numpy() for name, tensor in state.items()}

    def norm(name: str) -> dict:
        return {"scale": value[f"{name}.weight"], "bias": value[f"{name}.bias"]}

    def dense(name: str) -> dict:
        return {"kernel": value[f"{name}.weight"].T[None], "bias": value[f"{name}.bias"]}

    params = {
        "latent": {"kernel": value["embed.weight"].transpose(2, 1, 0), "bias": value["embed.bias"]},
        "norm": norm("norm"),
        "last_norm": norm("final_layer_norm"),
        "head": dense("out"),
    }
    for i in range(2):
        name = f"convnext.{i}"
        kernel = value[f"{name}.dwconv.weight"][:, 0].T
        params[f"block{i}"] = {
            "depthwise": {"kernel": kernel, "bias": value[f"{name}.dwconv.bias"]},
            "norm": norm(f"{name}.norm"),
            "dense1": dense(f"{name}.pwconv1"),
            "dense2": dense(f"{name}.pwconv2"),
            "scale": value[f"{name}.gamma"],
        }
    return params


def test_audio_of_random_weights(monkeypatch):
    import_peer(monkeypatch, "vocos", ("torchaudio.functional", "torchaudio.functional.functional"))
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    torch.manual_seed(0)
    hop, dimension = 64, 12
    backbone = VocosBackbone(dimension, dim=24, intermediate_dim=48, num_layers=2)
    head = ISTFTHead(24, n_fft=4 * hop, hop_length=hop, padding="same")
    with torch.no_grad():
        for parameter in (*backbone.parameters(), *head.parameters()):
            parameter.copy_(0.3 * torch.randn_like(parameter))
    latent = torch.randn(2, dimension, 23)
    with torch.no_grad():
        theirs = head(backbone(latent)).numpy()
    model = SoundStreamConfig(
        sample_rate=16_000,
        strides=(8, 8),
        dimension=dimension,
        causal=False,
        frame_decoder=FrameDecoderConfig(layers=2, channels=24, hidden=48, window_frames=4),
    )
    params = as_ours(backbone.state_dict() | head.state_dict())
    ours = np.asarray(Decoder(model).apply({"params": params}, latent.numpy().transpose(0, 2, 1)))[..., 0]
    assert theirs.std() > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
