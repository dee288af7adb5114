"""Packages of PyTorch models, imported for live comparisons without what they want beside their networks."""

from __future__ import annotations

import sys
import types

import pytest


class _Anything(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def import_peer(patch: pytest.MonkeyPatch, name: str, without: tuple[str, ...] = ()):
    """The package for as long as `patch` lasts; skips the test where it is not installed.

    Stand-ins take the place of torchaudio, which is needed for files and discriminators alone, and of `without`.
    """
    for other in ("torchaudio", "torchaudio.transforms", *without):
        patch.setitem(sys.modules, other, _Anything(other))
    return pytest.importorskip(name)


def import_encodec(patch: pytest.MonkeyPatch):
    """The `encodec` package; see `import_peer`."""
    return import_peer(patch, "encodec")


def import_dac(patch: pytest.MonkeyPatch):
    """The `descript-audio-codec` package; see `import_peer`."""
    return import_peer(patch, "dac", ("torch.utils.tensorboard", "randomname", "docstring_parser"))


def randomise_dac(model) -> None:
    """Weights of DAC, in either package, with which the codes follow the input: entries lie where their input does.

    Activations differ from channel to channel.
    """
    import torch

    audio = 0.3 * torch.randn(4, 1, 12_000)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("alpha"):
                value.copy_(0.5 + torch.rand_like(value))
            elif name.endswith("bias"):
                value.copy_(0.01 * torch.randn_like(value))
        residual = model.encoder(audio)
        for level in model.quantizer.quantizers:
            inner = level.in_proj(residual).movedim(1, 2).reshape(-1, level.codebook.weight.shape[1])
            spread = inner.std(dim=0) * torch.randn_like(level.codebook.weight)
            level.codebook.weight.copy_(inner.mean(dim=0) + spread)
            residual = residual - level(residual)[0]


def randomise(model) -> None:
    """Random codebooks near the latent's scale, marked as initialised."""
    import torch

    with torch.no_grad():
        for name, value in model.named_buffers():
            if name.endswith((".embed", ".embed_avg")):
                value.copy_(0.1 * torch.randn_like(value))
            elif name.endswith((".inited", ".cluster_size")):
                value.fill_(1.0)
