"""The `speechtokenizer` package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet, tensors, without

without("torchaudio", "torchaudio.transforms", "speechtokenizer.trainer")
from speechtokenizer.model import SpeechTokenizer  # noqa: E402


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes [batch, frames, levels] if it encodes."""
    import json

    folder = folder_of(weights, case.model, "speechtokenizer")
    model = SpeechTokenizer(json.loads((folder / "config.json").read_text(encoding="utf-8"))).eval().to(DEVICE)
    model.load_state_dict(tensors(folder / "model.safetensors"))
    audio = first_last(case.audio())
    if case.task == "encode":
        return quiet(lambda: model.encode(audio, n_q=case.used).permute(1, 2, 0))
    codes = codes_of(case).transpose(0, 1)
    return quiet(lambda: model.decode(codes))
