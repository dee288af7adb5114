"""The `moshi` package's Mimi."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet, without

without("sentencepiece", "sphn")
from moshi.models import loaders  # noqa: E402


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes [batch, frames, levels] if it encodes."""
    folder = folder_of(weights, case.model, "moshi")
    model = loaders.get_mimi(folder / "mimi.safetensors", num_codebooks=case.used, device=DEVICE)
    audio = first_last(case.audio())
    if case.task == "encode":
        return quiet(lambda: model.encode(audio).transpose(1, 2))
    codes = codes_of(case)
    if case.task == "decode":
        return quiet(lambda: model.decode(codes))
    model.streaming_forever(case.batch)
    frame = audio[..., : case.shape.hop]
    return quiet(lambda: model.decode(model.encode(frame)))
