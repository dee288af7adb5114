"""A training step of EnCodec in plain PyTorch: the package's networks, and the paper's losses and balancer.

Generator and discriminators are updated in every step; codebooks by the package's own moving averages.
"""

from __future__ import annotations

import types
from collections.abc import Callable

import librosa
import torch
from case import Case
from torch_parts import DEVICE, first_last, synchronize, without

WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
JUDGES = (2048, 1024, 512, 256, 128)
WEIGHTS = {"waveform": 0.1, "spectral": 1.0, "adversarial": 3.0, "feature": 3.0}


class Spectrogram(torch.nn.Module):
    """torchaudio's transform with the package's settings: complex, divided by the window's norm, without padding."""

    def __init__(self, n_fft: int, hop_length: int, window_fn: Callable[[int], torch.Tensor], **_: object) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop_length
        self.register_buffer("window", window_fn(n_fft))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, time] -> complex [batch, channels, bins, frames]."""
        flat = x.reshape(-1, x.shape[-1])
        spectrum = torch.stft(flat, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        return (spectrum / self.window.norm()).reshape(*x.shape[:2], *spectrum.shape[1:])


def discriminators(kernel: tuple[int, int] = (3, 9)) -> torch.nn.Module:
    """The package's discriminators, with the five windows of the paper."""
    import torchaudio

    without("torchaudio.transforms")
    torchaudio.transforms = types.SimpleNamespace(Spectrogram=Spectrogram)
    from encodec.msstftd import MultiScaleSTFTDiscriminator

    hops = [w // 4 for w in JUDGES]
    return MultiScaleSTFTDiscriminator(
        32, n_ffts=list(JUDGES), hop_lengths=hops, win_lengths=list(JUDGES), kernel_size=kernel
    )


def mel_banks(rate: int) -> dict[int, torch.Tensor]:
    """64 mel filters for each window, [filters, bins]; without those that short windows cannot resolve."""
    banks = {w: librosa.filters.mel(sr=rate, n_fft=w, n_mels=64, norm=None) for w in WINDOWS}
    return {w: torch.from_numpy(bank[bank.max(axis=1) > 0]).float().to(DEVICE) for w, bank in banks.items()}


def mel_loss(x: torch.Tensor, y: torch.Tensor, banks: dict[int, torch.Tensor]) -> torch.Tensor:
    """Mean over windows of the L1 and root mean square differences of mel magnitudes."""
    total = torch.zeros((), device=DEVICE)
    for w, bank in banks.items():
        window = torch.hann_window(w, device=DEVICE)
        pads = ((w - w // 4) // 2, w - w // 4 - (w - w // 4) // 2)
        both = torch.nn.functional.pad(torch.cat([x, y])[:, 0], pads)
        spectrum = torch.stft(both, w, w // 4, window=window, center=False, return_complex=True) / window.norm()
        power = spectrum.real**2 + spectrum.imag**2
        a, b = (bank @ torch.sqrt(power + 1e-9)).chunk(2)
        total = total + (a - b).abs().mean() + torch.sqrt(((a - b) ** 2).mean(dim=1) + 1e-12).mean()
    return total / len(banks)


def relative_features(real: list, fake: list) -> torch.Tensor:
    """Mean over layers of the difference of activations, relative to the mean of the real ones."""
    terms = [
        (r.detach() - f).abs().mean() / r.detach().abs().mean()
        for a, b in zip(real, fake, strict=True)
        for r, f in zip(a, b, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge(values: list[torch.Tensor], sign: float) -> torch.Tensor:
    """Mean over discriminators of max(0, 1 - sign x)."""
    return torch.stack([torch.relu(1 - sign * v).mean() for v in values]).mean()


def training(case: Case, model: torch.nn.Module) -> Callable[[], None]:
    """A function that executes a complete step."""
    discriminator, banks = discriminators().to(DEVICE), mel_banks(case.shape.sample_rate)
    model.train()
    generator_optimizer = torch.optim.Adam(model.parameters(), lr=3e-4, betas=(0.5, 0.9))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-4, betas=(0.5, 0.9))
    audio = first_last(case.audio())
    norms = dict.fromkeys(WEIGHTS, (0.0, 0.0))

    def balanced(losses: dict[str, torch.Tensor], decoded: torch.Tensor) -> torch.Tensor:
        gradient = torch.zeros_like(decoded)
        for name, loss in losses.items():
            (loss_grad,) = torch.autograd.grad(loss, decoded, retain_graph=True)
            norm, weight = norms[name]
            norms[name] = 0.999 * norm + loss_grad.flatten(1).norm(dim=1).mean().item(), 0.999 * weight + 1
            scale = WEIGHTS[name] / sum(WEIGHTS.values()) / (norms[name][0] / norms[name][1] + 1e-12)
            gradient += scale * loss_grad
        return gradient

    mixed = torch.autocast(DEVICE, torch.bfloat16, enabled=case.dtype == "bfloat16")

    def run() -> None:
        with mixed:
            result = model.quantizer(model.encoder(audio), model.frame_rate, 24.0)
            decoded = model.decoder(result.quantized).float()

        with mixed:
            real, _ = discriminator(audio)
            fake, _ = discriminator(decoded.detach())
        discriminator_optimizer.zero_grad()
        (hinge(real, 1) + hinge(fake, -1)).backward()
        discriminator_optimizer.step()

        for parameter in discriminator.parameters():
            parameter.requires_grad_(False)
        with torch.no_grad(), mixed:
            _, real_features = discriminator(audio)
        with mixed:
            fake, fake_features = discriminator(decoded)
        losses = {
            "waveform": (audio - decoded).abs().mean(),
            "spectral": mel_loss(audio, decoded, banks),
            "adversarial": hinge(fake, 1),
            "feature": relative_features(real_features, fake_features),
        }
        gradient = balanced(losses, decoded)
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
        generator_optimizer.zero_grad()
        torch.autograd.backward([decoded, result.penalty.mean()], [gradient, None])
        generator_optimizer.step()
        synchronize()

    return run
