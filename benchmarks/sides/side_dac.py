"""Descript's package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet, tensors, without

without("torch.utils.tensorboard", "randomname", "docstring_parser", "torchaudio", "torchaudio.transforms")
from dac.model import DAC  # noqa: E402


def normalised(state: dict[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Splits kernels into direction and scale for the layers of the model with weight normalisation."""
    split = {}
    for name, value in state.items():
        if f"{name}_v" in model.state_dict():
            split[f"{name}_v"] = value
            split[f"{name}_g"] = value.flatten(1).norm(dim=1).reshape(-1, *[1] * (value.ndim - 1))
        else:
            split[name] = value
    return split


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes [batch, frames, levels] if it encodes."""
    folder = folder_of(weights, case.model, "dac")
    model = DAC(**json.loads((folder / "config.json").read_text(encoding="utf-8"))).eval().to(DEVICE)
    model.load_state_dict(normalised(tensors(folder / "model.safetensors"), model))
    audio = first_last(case.audio())
    if case.task == "encode":
        return quiet(lambda: model.encode(audio, n_quantizers=case.used)[1].transpose(1, 2))
    codes = codes_of(case)
    return quiet(lambda: model.decode(model.quantizer.from_codes(codes)[0]))
