"""Makes speechtokenizer.npz with the `speechtokenizer` package: what a small random model computes.

    pip install torch==2.13.0 einops scipy && pip install --no-deps speechtokenizer
    python tests/golden/make_speechtokenizer.py

Weights are stored under "state/"; audio, codes, decoded audio and the first codebook's features by length.
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
from peer_package import import_peer, randomise  # noqa: E402 (found only now)

CONFIG = {
    "sample_rate": 1200, "n_filters": 4, "strides": [4, 3, 2], "dimension": 16, "semantic_dimension": 12,
    "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1, "lstm_layers": 2,
    "activation": "ELU", "codebook_size": 32, "n_q": 4,
}  # fmt: skip
LENGTHS = (24 * 40, 24 * 33 + 17, 24 * 8 + 1)


def main() -> None:
    with pytest.MonkeyPatch.context() as patch:
        package = import_peer(patch, "speechtokenizer", without=("speechtokenizer.trainer",))
        torch.manual_seed(0)
        model = package.SpeechTokenizer(CONFIG).eval()
    randomise(model)
    actual = {f"state/{name}": value.numpy() for name, value in model.state_dict().items()}
    actual["config"] = np.frombuffer(json.dumps(CONFIG).encode(), np.uint8)
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        audio = torch.from_numpy(0.2 * rng.standard_normal((2, 1, length)).astype(np.float32))
        with torch.no_grad():
            codes = model.encode(audio)
            _, _, features = model(audio)
            decoded = model.decode(codes)
        actual |= {
            f"audio/{length}": audio.numpy(),
            f"codes/{length}": codes.numpy().astype(np.uint8),
            f"decoded/{length}": decoded.numpy(),
            f"features/{length}": features.numpy(),
        }
    np.savez_compressed(FOLDER / "speechtokenizer.npz", **actual)


if __name__ == "__main__":
    main()
