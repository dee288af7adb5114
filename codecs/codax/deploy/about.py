"""codec.json: the description of a codec for programs that load its exported files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from codax.codec.codec import Codec
from codax.deploy.programs import Program

VERSION = 1


def about(codec: Codec, programs: Sequence[Program], suffix: str) -> dict[str, Any]:
    """The contents of codec.json as plain values; see docs/deployment.md.

    Args:
      codec: the exported codec.
      programs: its programs.
      suffix: of the files; each is named after its program.
    """
    config = codec.config
    samples, stride = config.segment
    return {
        "codax": VERSION,
        "model": codec.model_id,
        "hash": codec.hash.hex(),
        "sample_rate": config.model.sample_rate,
        "channels": config.model.audio_channels,
        "hop": config.hop,
        "frame_rate": config.frame_rate,
        "codebook_size": config.quantizer.codebook_size,
        "quantizers": config.quantizer.num_quantizers,
        "kbps": [config.kbps(n + 1) for n in range(config.quantizer.num_quantizers)],
        "least_frames": codec.engine.start_frames,
        "segment": {"samples": samples, "stride": stride} if samples else None,
        "normalize": config.model.normalize,
        "programs": {program.name: _described(program, suffix) for program in programs},
    }


def about_text(facts: dict[str, Any]) -> str:
    """The text of codec.json. It is written last: a folder with a codec.json is complete."""
    return json.dumps(facts, indent=2) + "\n"


def _described(program: Program, suffix: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "file": f"{program.name}{suffix}",
        "inputs": [
            {
                "name": name,
                "dtype": str(struct.dtype),
                "shape": [n if isinstance(n, int) else str(n) for n in struct.shape],
            }
            for name, struct in program.inputs.items()
        ],
        "outputs": list(program.outputs),
    }
    if program.frames:
        facts |= {
            "frames": program.frames,
            "states": [{"input": before, "output": after} for before, after in program.states],
        }
    return facts
