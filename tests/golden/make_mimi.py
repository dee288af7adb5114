"""Makes mimi.npz with the `moshi` package: what a small random Mimi computes, whole and frame by frame.

    pip install torch==2.13.0 einops && pip install --no-deps moshi==0.2.13
    python tests/golden/make_mimi.py

Weights are stored under "state/", its mimi_config.json as "config"; audio, codes and decoded audio by length. All are
longer than the window of the Transformers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent))
from peer_package import import_peer  # noqa: E402 (found only now)

HOP = 48
SEANET = {
    "channels": 1, "dimension": 32, "causal": True, "n_filters": 4, "n_residual_layers": 1, "activation": "ELU",
    "compress": 2, "dilation_base": 2, "disable_norm_outer_blocks": 0, "kernel_size": 7, "residual_kernel_size": 3,
    "last_kernel_size": 3, "norm": "none", "pad_mode": "constant", "ratios": [4, 3, 2], "true_skip": True,
}  # fmt: skip
CONFIG = {
    "sample_rate": 1200, "channels": 1, "frame_rate": 25.0, "seanet": SEANET,
    "quantizer": {"dimension": 8, "n_q": 6, "bins": 32, "input_dimension": 32, "output_dimension": 32},
    "transformer": {
        "d_model": 32, "num_heads": 2, "num_layers": 2, "causal": True, "layer_scale": 0.01, "context": 20,
        "conv_layout": True, "max_period": 10000, "gating": "none", "norm": "layer_norm",
        "positional_embedding": "rope", "dim_feedforward": 48, "input_dimension": 32, "output_dimensions": [32],
    },
}  # fmt: skip
LENGTHS = (HOP * 60, HOP * 31 + 17)


def main() -> None:
    with pytest.MonkeyPatch.context() as patch:
        import_peer(patch, "moshi", ("sentencepiece",))
        from moshi.models import loaders

        torch.manual_seed(0)
        model = loaders.get_mimi(None, CONFIG, num_codebooks=CONFIG["quantizer"]["n_q"])
    with torch.no_grad():
        for name, value in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("embedding_sum"):
                value.copy_(0.1 * torch.randn_like(value))
            elif name.endswith("cluster_usage"):
                value.copy_(0.5 + torch.rand_like(value))
            elif name.endswith("_initialized"):
                value.fill_(1.0)
            elif "layer_scale" in name:
                value.copy_(0.5 * torch.rand_like(value))
    actual = {f"state/{name}": value.numpy() for name, value in model.state_dict().items()}
    actual["config"] = np.frombuffer(json.dumps(CONFIG).encode(), np.uint8)
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        audio = torch.from_numpy(0.2 * rng.standard_normal((2, 1, length)).astype(np.float32))
        with torch.no_grad():
            codes = model.encode(audio)
            decoded = model.decode(codes)
        actual |= {
            f"audio/{length}": audio.numpy(),
            f"codes/{length}": codes.numpy().astype(np.uint8),
            f"decoded/{length}": decoded.numpy(),
        }
    np.savez_compressed(FOLDER / "mimi.npz", **actual)


if __name__ == "__main__":
    main()
