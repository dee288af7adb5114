"""Makes dac.npz with the `descript-audio-codec` package: what a small random DAC and DAC's mel loss compute.

    pip install torch==2.13.0 einops librosa
    pip install --no-deps descript-audio-codec==1.0.0 descript-audiotools argbind flatten-dict julius ffmpy \
        importlib_resources
    python tests/golden/make_dac.py

Weights are stored under "state/", how the model was made as "config"; audio, codes and decoded audio by length. One of
the strides is odd. "training/" has what the quantizer gives in training, with gradients of a sum of its output under
`slope` and both losses; "mel/" the loss of two signals.
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
from peer_package import import_dac, randomise_dac  # noqa: E402 (found only now)

CONFIG = {
    "encoder_dim": 4, "encoder_rates": [2, 4, 3], "latent_dim": None, "decoder_dim": 48, "decoder_rates": [3, 4, 2],
    "n_codebooks": 4, "codebook_size": 32, "codebook_dim": 3, "quantizer_dropout": 0.0, "sample_rate": 1200,
}  # fmt: skip
LENGTHS = (24 * 40, 24 * 33 + 17, 24 * 8 + 1)


def main() -> None:
    with pytest.MonkeyPatch.context() as patch:
        package = import_dac(patch)
        from audiotools import AudioSignal
        from dac.nn.loss import MelSpectrogramLoss

        torch.manual_seed(0)
        model = package.DAC(**CONFIG).eval()
        randomise_dac(model)
        actual = {f"state/{name}": value.numpy().copy() for name, value in model.state_dict().items()}
        actual["config"] = np.frombuffer(json.dumps(CONFIG).encode(), np.uint8)
        rng = np.random.default_rng(0)

        def noise(*shape: int) -> torch.Tensor:
            return torch.from_numpy((0.2 * rng.standard_normal(shape)).astype(np.float32))

        for length in LENGTHS:
            audio = noise(2, 1, length)
            with torch.no_grad():
                _, codes, *_ = model.encode(model.preprocess(audio, CONFIG["sample_rate"]))
                decoded = model.decode(model.quantizer.from_codes(codes)[0])
            actual |= {
                f"audio/{length}": audio.numpy(),
                f"codes/{length}": codes.numpy().astype(np.uint8),
                f"decoded/{length}": decoded.numpy(),
            }

        latent, negative_slope = noise(3, 32, 10).requires_grad_(), noise(3, 32, 10)
        model.quantizer.train()
        quantized, codes, _, commitment, codebook = model.quantizer(latent)
        (torch.sum(quantized * negative_slope) + 0.25 * commitment + codebook).backward()
        actual |= {
            "training/latent": latent.detach().numpy(),
            "training/slope": negative_slope.numpy(),
            "training/quantized": quantized.detach().numpy(),
            "training/codes": codes.numpy().astype(np.uint8),
            "training/losses": np.asarray([commitment.item(), codebook.item()], np.float32),
            "training/gradient/latent": latent.grad.numpy(),
        }
        for name, value in model.quantizer.named_parameters():
            actual[f"training/gradient/quantizer.{name}"] = value.grad.numpy()

        signals = noise(2, 1, 4000), noise(2, 1, 4000)
        loss = MelSpectrogramLoss(
            [5, 20, 80], [32, 128, 512], mag_weight=0.0, pow=1.0, mel_fmin=[0.0] * 3, mel_fmax=[None] * 3
        )
        value = loss(*(AudioSignal(signal, 16_000) for signal in signals))
        actual |= {f"mel/{i}": signal.numpy() for i, signal in enumerate(signals)} | {"mel/loss": value.numpy()}
    np.savez_compressed(FOLDER / "dac.npz", **actual)


if __name__ == "__main__":
    main()
