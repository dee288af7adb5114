"""Makes encodec_lm.npz with the `encodec` package: its language model, its arithmetic coder and files of both.

    pip install torch==2.13.0 einops && pip install --no-deps encodec==0.1.1
    python tests/golden/make_encodec_lm.py

lm/: a small random model's weights ("state/"), codes and probabilities, beyond its past context, from two offsets.
coder/: distributions and their CDFs, symbols of them, and the coder's bytes. encodec_24khz/, encodec_48khz/: `.ecdc`
files of random codes, compressed with the probabilities of exact_lm.py.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "entropy"))
from make_encodec import packed_file  # noqa: E402 (puts something in torchaudio's place, so it comes first)

# isort: split
from encodec import EncodecModel  # noqa: E402
from encodec.model import LMModel  # noqa: E402
from encodec.quantization.ac import ArithmeticCoder, build_stable_quantized_cdf  # noqa: E402
from exact_lm import probabilities  # noqa: E402

CODEBOOKS, SIZE, FRAMES, PAST = 4, 32, 20, 6
OFFSETS = (0, 700)


def language_model() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    model = LMModel(CODEBOOKS, SIZE, dim=16, num_layers=2, num_heads=2, past_context=PAST).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    arrays = {f"lm/state/{k}": v.numpy() for k, v in model.state_dict().items()}
    codes = torch.randint(SIZE, (2, CODEBOOKS, FRAMES))
    previous = torch.nn.functional.pad(codes + 1, (1, 0))[..., :-1]
    arrays["lm/codes"] = codes.permute(0, 2, 1).numpy().astype(np.int32)
    for offset in OFFSETS:
        state, position, steps = None, offset, []
        with torch.no_grad():
            for t in range(FRAMES):
                step, state, position = model(previous[..., t : t + 1], state, position)
                steps.append(step)
            whole, _, _ = model(previous, None, offset)
            few, _, _ = model(previous[:, :3], None, offset)
        assert torch.allclose(torch.cat(steps, -1), whole, atol=1e-6)
        arrays[f"lm/probabilities/{offset}"] = whole.permute(0, 3, 2, 1).numpy()
        arrays[f"lm/probabilities_of_3/{offset}"] = few.permute(0, 3, 2, 1).numpy()
    return arrays


def coder() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(0)
    tables = [
        torch.softmax(torch.from_numpy(scale * rng.standard_normal((2, size))).float(), -1)
        for size, scale in ((1024, 0.5), (1024, 6.0), (7, 1.0), (2, 3.0))
    ]
    tables.append(torch.nn.functional.one_hot(torch.tensor([5, 0]), 1024).float())
    arrays, packed = {}, io.BytesIO()
    encoder = ArithmeticCoder(packed)
    cdfs = []
    for i, table in enumerate(tables):
        cdfs.append([build_stable_quantized_cdf(row, 24) for row in table])
        arrays[f"coder/probabilities/{i}"] = table.numpy()
        arrays[f"coder/cdf/{i}"] = torch.stack(cdfs[-1]).numpy().astype(np.int32)
    which = rng.randint(len(tables), size=1500)
    symbols = []
    for i in which:  # mostly likely symbols, sometimes any
        pair = tables[i].double()
        drawn = [
            rng.choice(len(p), p=p.numpy() / p.sum().item()) if rng.rand() < 0.9 else rng.randint(len(p)) for p in pair
        ]
        symbols.append(drawn)
        for symbol, cdf in zip(drawn, cdfs[i], strict=True):
            encoder.push(int(symbol), cdf)
    encoder.flush()
    arrays["coder/tables"], arrays["coder/symbols"] = which.astype(np.int8), np.asarray(symbols, np.int16)
    return arrays | {"coder/bytes": np.frombuffer(packed.getvalue(), np.uint8)}


def exact(indices: torch.Tensor, states: None, offset: int):
    actual = probabilities(indices[0, :, 0].numpy(), offset)
    return torch.from_numpy(actual.T.copy())[None, :, :, None], states, offset + 1


def files() -> dict[str, np.ndarray]:
    arrays = {}
    for name, seconds, kbps in (("encodec_24khz", 0.71, 3.0), ("encodec_48khz", 2.05, 6.0)):
        torch.manual_seed(0)
        model = getattr(EncodecModel, name.replace("encodec", "encodec_model"))(pretrained=False)
        model.name, model.get_lm_model = name, lambda: exact
        model.set_target_bandwidth(kbps)
        audio = 0.3 * torch.randn(model.channels, int(seconds * model.sample_rate))
        with torch.no_grad():
            frames = model.encode(audio[None])
        # Random weights give few different codes: random ones instead.
        frames = [(torch.randint(1024, codes.shape), scale) for codes, scale in frames]
        model.encode = lambda signal, frames=frames: frames
        arrays |= packed_file(model, audio, frames, use_lm=True)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FOLDER / "encodec_lm.npz", **language_model(), **coder(), **files())
