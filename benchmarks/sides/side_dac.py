"""Descript's package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet, tensors, without

without("torch.utils.tensorboard", "randomname", "docstring_parser", "torchaudio", "torchaudio.transforms")
from dac.model import DAC  # noqa: E402


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that does the case once and returns codes [batch, frames, levels] where there are any."""
    folder = folder_of(weights, case.model, "dac")
    model = DAC(**json.loads((folder / "config.json").read_text(encoding="utf-8"))).eval().to(DEVICE)
    model.load_state_dict(tensors(folder / "model.safetensors"))
    audio = first_last(case.audio())
    if case.task == "encode":
        return quiet(lambda: model.encode(audio, n_quantizers=case.used)[1].transpose(1, 2))
    codes = codes_of(case)
    return quiet(lambda: [model.decode(model.quantizer.from_codes(codes)[0])][1:] or None)
