"""The `encodec` package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet, tensors, without

without("torchaudio", "torchaudio.transforms")
from encodec import EncodecModel  # noqa: E402


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes [batch, frames, levels] if it encodes."""
    make = EncodecModel.encodec_model_24khz if case.model == "encodec_24khz" else EncodecModel.encodec_model_48khz
    model = make(pretrained=False).to(DEVICE)
    if case.task == "train":
        from encodec_training import training

        return training(case, model)
    model.load_state_dict(tensors(folder_of(weights, case.model, "encodec") / "model.safetensors"))
    model.eval()
    model.set_target_bandwidth(case.used * case.shape.sample_rate / case.shape.hop / 100)
    audio = first_last(case.audio())
    if case.task == "encode":
        return quiet(lambda: torch.cat([codes for codes, _ in model.encode(audio)], dim=-1).transpose(1, 2))
    if model.segment is None:
        frames = [(codes_of(case), None)]
    else:
        with torch.inference_mode():
            frames = model.encode(audio)
    return quiet(lambda: model.decode(frames))
