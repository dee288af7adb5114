"""Makes golden arrays with the `encodec` package.

encodec_24khz.npz and encodec_48khz.npz: what small random models compute. encodec_training.npz: the discriminator, and
gradients of a generator loss of the small 24 kHz model. ecdc.npz: `.ecdc` files of full-size random models.

    pip install torch==2.13.0 einops && pip install --no-deps encodec==0.1.1
    python tests/golden/make_encodec.py

Weights are stored under "state/", inputs, codes and decoded audio by length.
"""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path

import numpy as np
import torch


class Spectrogram(torch.nn.Module):
    """What encodec's discriminator takes from torchaudio; nothing else of it is needed here."""

    def __init__(self, n_fft, hop_length, win_length, window_fn, normalized, center, pad_mode, power):
        super().__init__()
        assert normalized and not center and power is None and win_length == n_fft
        self.n_fft, self.hop, self.window = n_fft, hop_length, window_fn(n_fft)

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        y = torch.stft(flat, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        return (y / self.window.pow(2).sum().sqrt()).reshape(*x.shape[:-1], *y.shape[1:])


sys.modules["torchaudio"] = types.ModuleType("torchaudio")
sys.modules["torchaudio.transforms"] = sys.modules["torchaudio"].transforms = types.ModuleType("transforms")
sys.modules["torchaudio.transforms"].Spectrogram = Spectrogram

from encodec import EncodecModel  # noqa: E402
from encodec.compress import compress_to_file  # noqa: E402
from encodec.modules import SEANetDecoder, SEANetEncoder  # noqa: E402
from encodec.msstftd import MultiScaleSTFTDiscriminator  # noqa: E402
from encodec.quantization import ResidualVectorQuantizer  # noqa: E402

FOLDER = Path(__file__).parent
RATIOS = [4, 3, 2]  # hop 24
LENGTHS = {"24khz": (24 * 40, 24 * 33 + 17, 24 * 9 + 1, 24 * 5 + 3, 11), "48khz": (24 * 30, 24 * 25 + 7, 24 * 60 + 5)}
SEGMENT = 24 * 30


def small(kind: str) -> EncodecModel:
    """The released architecture with few channels and a short hop; random weights and codebooks."""
    torch.manual_seed(0)
    stereo = kind == "48khz"
    channels = 2 if stereo else 1
    common = {
        "channels": channels,
        "dimension": 16,
        "n_filters": 4,
        "ratios": RATIOS,
        "norm": "time_group_norm" if stereo else "weight_norm",
        "causal": not stereo,
    }
    rate = 2400
    quantizer = ResidualVectorQuantizer(dimension=16, n_q=4, bins=32)
    model = EncodecModel(
        SEANetEncoder(**common),
        SEANetDecoder(**common),
        quantizer,
        target_bandwidths=[0.5, 1.0, 2.0],
        sample_rate=rate,
        channels=channels,
        normalize=stereo,
        segment=SEGMENT / rate if stereo else None,
        name=f"small_{kind}",
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "weight_g" in name or ".norm." in name:
                parameter.mul_(1 + 0.3 * torch.randn_like(parameter)).add_(0.1 * torch.randn_like(parameter))
        for layer in model.quantizer.vq.layers:
            book = layer._codebook
            book.embed.copy_(0.3 * torch.randn_like(book.embed))
            book.embed_avg.copy_(book.embed)
            book.cluster_size.fill_(1.0)
            book.inited.fill_(1.0)
    model.set_target_bandwidth(2.0)  # 100 frames of 5 bits: all four levels
    return model.eval()


def files() -> dict[str, np.ndarray]:
    """An `.ecdc` file of each full-size model, and the codes and scales that are in it."""
    arrays = {}
    for name, seconds, kbps in (("encodec_24khz", 0.71, 3.0), ("encodec_48khz", 2.05, 6.0)):
        torch.manual_seed(0)
        model = getattr(EncodecModel, name.replace("encodec", "encodec_model"))(pretrained=False)
        model.name = name
        model.set_target_bandwidth(kbps)
        audio = 0.3 * torch.randn(model.channels, int(seconds * model.sample_rate))
        with torch.no_grad():
            frames = model.encode(audio[None])
        arrays |= packed_file(model, audio, frames, use_lm=False)
    return arrays


def packed_file(model: EncodecModel, audio: torch.Tensor, frames: list, *, use_lm: bool) -> dict[str, np.ndarray]:
    """An `.ecdc` file's bytes and what it holds, by the model's name; `frames` are what `audio` is encoded to."""
    packed = io.BytesIO()
    compress_to_file(model, audio, packed, use_lm=use_lm)
    arrays = {
        "bytes": np.frombuffer(packed.getvalue(), np.uint8),
        "length": np.asarray(audio.shape[1]),
        "codes": torch.cat([codes[0] for codes, _ in frames], -1).numpy().T.astype(np.int16),
    }
    if model.normalize:
        arrays["scales"] = torch.cat([scale[0] for _, scale in frames]).numpy()
    return {f"{model.name}/{key}": value for key, value in arrays.items()}


def training() -> dict[str, np.ndarray]:
    """Outputs of the multi-scale STFT discriminator, and gradients of a generator loss through the small model."""
    model = small("24khz").train()
    discriminator = MultiScaleSTFTDiscriminator(filters=4, n_ffts=[64, 32], hop_lengths=[16, 8], win_lengths=[64, 32])
    discriminator.train()
    audio = 0.3 * torch.randn(3, 1, 24 * 20)
    latent = model.encoder(audio)
    # The quantizer as the paper has it: every level detached, one straight-through estimate, commitment per level.
    residual, quantized, commitment = latent, 0, 0
    for layer in model.quantizer.vq.layers:
        book = layer._codebook.embed
        nearest = torch.cdist(residual.detach().transpose(1, 2).reshape(-1, 16), book).argmin(-1)
        level = book[nearest].reshape(3, -1, 16).transpose(1, 2)
        commitment = commitment + (residual - level).pow(2).mean() / 4
        residual, quantized = residual - level, quantized + level
    decoded = model.decoder(latent + (quantized - latent).detach())
    fake_logits, fake_maps = discriminator(decoded)
    with torch.no_grad():
        real_logits, real_maps = discriminator(audio)
    hinge = sum(torch.relu(1 - f).mean() for f in fake_logits) / 2
    feature = 0
    for real, fake in zip(real_maps, fake_maps, strict=True):
        for r, f in zip(real, fake, strict=True):
            feature = feature + (r - f).abs().mean() / r.abs().mean() / len(real) / 2
    parts = {"waveform": (audio - decoded).abs().mean(), "adversarial": hinge, "feature": feature}
    loss = parts["waveform"] + 3 * hinge + 2 * feature + commitment
    loss.backward()
    arrays = {f"judge/{k}": v.detach().numpy() for k, v in discriminator.state_dict().items()}
    arrays |= {f"gradient/{k}": v.grad.numpy() for k, v in model.named_parameters()}
    arrays |= {f"loss/{k}": v.detach().numpy() for k, v in (parts | {"commitment": commitment}).items()}
    for i, (logits, maps) in enumerate(zip(real_logits, real_maps, strict=True)):
        arrays[f"logits/{i}"] = logits.numpy()
        arrays |= {f"map/{i}/{j}": m.numpy() for j, m in enumerate(maps)}
    return arrays | {"audio": audio.numpy(), "decoded": decoded.detach().numpy()}


def main() -> None:
    np.savez_compressed(FOLDER / "encodec_training.npz", **training())
    np.savez_compressed(FOLDER / "ecdc.npz", **files())
    for kind, lengths in LENGTHS.items():
        model = small(kind)
        arrays = {f"state/{k}": v.numpy() for k, v in model.state_dict().items()}
        for length in lengths:
            audio = 0.3 * torch.randn(2, model.channels, length)
            with torch.no_grad():
                frames = model.encode(audio)
                decoded = model.decode(frames)[..., :length]
            arrays[f"audio/{length}"] = audio.numpy()
            arrays[f"codes/{length}"] = torch.cat([codes for codes, _ in frames], -1).numpy().astype(np.int16)
            arrays[f"decoded/{length}"] = decoded.numpy()
            if model.normalize:
                arrays[f"scales/{length}"] = torch.cat([scale for _, scale in frames], -1).numpy()
        np.savez_compressed(FOLDER / f"encodec_{kind}.npz", **arrays)


if __name__ == "__main__":
    main()
