"""Hugging Face transformers: EnCodec, Mimi and DAC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from case import Case, folder_of
from torch_parts import DEVICE, codes_of, first_last, quiet

CLASSES = {"encodec": "EncodecModel", "mimi": "MimiModel", "dac": "DacModel"}


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes [batch, frames, levels] if it encodes."""
    kind = case.model.split("_")[0]
    folder = folder_of(weights, case.model, "transformers")
    model = getattr(transformers, CLASSES[kind]).from_pretrained(folder).eval().to(DEVICE)
    audio = first_last(case.audio())
    codes = codes_of(case)
    if kind == "dac":
        if case.task == "encode":
            return quiet(lambda: model.encode(audio, n_quantizers=case.used).audio_codes.transpose(1, 2))
        return quiet(lambda: model.decode(audio_codes=codes))
    if kind == "mimi":
        if case.task == "encode":
            return quiet(lambda: model.encode(audio, num_quantizers=case.used).audio_codes.transpose(1, 2))
        return quiet(lambda: model.decode(codes))
    kbps = case.used * case.shape.sample_rate / case.shape.hop / 100
    mask = torch.ones(audio.shape[0], 1, audio.shape[2], dtype=torch.bool, device=DEVICE)

    def encode() -> Any:
        return model.encode(audio, mask, bandwidth=kbps)

    if case.task == "encode":
        return quiet(lambda: torch.cat(list(encode().audio_codes), dim=-1).transpose(1, 2))
    with torch.inference_mode():
        encoded = encode()
    chunks = encoded.audio_codes if model.config.chunk_length_s else codes[None]
    pad = getattr(encoded, "last_frame_pad_length", None)  # since version 5
    more = {} if pad is None else {"last_frame_pad_length": pad}
    return quiet(lambda: model.decode(chunks, encoded.audio_scales, **more))
