"""Exported StableHLO programs, run by a process that has JAX alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codax.deploy.stablehlo import PLATFORMS, export_stablehlo
from jax import export
from small_models import STREAMING, codec, signal

# A process that cannot import codax, as there where the programs go.
SCRIPT = """
import json, sys
sys.modules["codax"] = sys.modules["flax"] = None
import numpy as np
from jax import export
from pathlib import Path

for folder in map(Path, sys.argv[1:]):
    facts = json.loads((folder / "codec.json").read_text())
    files = {name: folder / program["file"] for name, program in facts["programs"].items()}
    run = {name: export.deserialize(bytearray(file.read_bytes())).call for name, file in files.items()}
    given, actual = np.load(folder / "given.npz"), {}
    for name in given:
        audio = given[name]
        more = [np.int32(audio.shape[1])] if len(facts["programs"]["encoder"]["inputs"]) == 2 else []
        codes, = run["encoder"](audio, *more)
        actual[f"{name}.codes"] = codes
        actual[f"{name}.audio"], = run["decoder"](codes)
        if name == "a":
            continue
        actual[f"{name}.low"], = run["decoder"](codes[..., :2])
        if "encoder_step" in run:
            step = facts["programs"]["encoder_step"]
            names = [pair["input"] for pair in step["states"]]
            inputs = {t["name"]: t for t in step["inputs"]}
            state = [np.zeros([n if isinstance(n, int) else len(audio) for n in inputs[s]["shape"]], inputs[s]["dtype"])
                     for s in names]
            parts, start, hop = [], 0, facts["hop"]
            if "encoder_start" in run:
                start = facts["programs"]["encoder_start"]["frames"] * hop
                first, *state = run["encoder_start"](audio[:, :start], np.int32(start))
                parts.append(first)
            for at in range(start, audio.shape[1], hop):
                part, *state = run["encoder_step"](audio[:, at : at + hop], *([np.int32(hop)] if more else []), *state)
                parts.append(part)
            actual[f"{name}.streamed"] = np.concatenate(parts, axis=1)
    np.savez(folder / "actual.npz", **actual)
"""
NAMES = ("soundstream", "encodec_24khz", "speechtokenizer", "mimi")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each codec: its programs, given.npz with two signals, and actual.npz with what a process made of them."""
    folder = tmp_path_factory.mktemp("stablehlo")
    for name in NAMES:
        made = codec(name)
        export_stablehlo(made, folder / name)
        np.savez(folder / name / "given.npz", a=signal(made, 1, 16), b=signal(made, 2, 27, seed=1))
    subprocess.run([sys.executable, "-c", SCRIPT, *(str(folder / name) for name in NAMES)], check=True, timeout=600)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_batches_and_lengths(name: str, folders: Path) -> None:
    made = codec(name)
    given, actual = (np.load(folders / name / f"{which}.npz") for which in ("given", "actual"))
    for key, value in given.items():
        codes = made.engine.encode_piece(value, False)
        np.testing.assert_array_equal(actual[f"{key}.codes"], codes)
        np.testing.assert_allclose(actual[f"{key}.audio"], made.engine.decode_piece(codes, False), atol=1e-5)
    # Fewer levels, and frame by frame: of the second alone.
    np.testing.assert_allclose(actual["b.low"], made.engine.decode_piece(codes[..., :2], False), atol=1e-5)
    if name in STREAMING:
        np.testing.assert_array_equal(actual["b.streamed"], codes)


def test_the_programs_are_for_all_platforms_and_lengths(folders: Path) -> None:
    made, folder = codec("soundstream"), folders / "soundstream"
    files = sorted(folder.glob("*.stablehlo"))
    assert [path.stem for path in files] == ["decoder", "decoder_step", "encoder", "encoder_step"]
    for path in files:
        program = export.deserialize(bytearray(path.read_bytes()))
        assert program.platforms == PLATFORMS == ("cpu", "cuda", "tpu")
        assert export.is_symbolic_dim(program.in_avals[0].shape[0])
    whole = export.deserialize(bytearray((folder / "encoder.stablehlo").read_bytes()))
    assert str(whole.in_avals[0].shape) == "(batch, 8*frames, 1)"
    # Both forms of the convolutions, but the weights once, and no path of a source file.
    weights = sum(value.nbytes for key, value in made.flat().items() if "params.encoder" in key or "embedding" in key)
    assert (folder / "encoder.stablehlo").stat().st_size < 1.2 * weights + 60_000
    assert not any(b"codax/" in path.read_bytes() for path in files)
