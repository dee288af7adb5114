"""Compression and decompression with EnCodec's language model: codax against the `encodec` package in the same run.

    pip install torch==2.13.0 torchaudio encodec==0.1.1
    python benchmarks/encodec_lm.py [--seconds 60] [--kbps 6] [--runs 3]

Both use the same random weights of full size, on speech of the starter corpus, from audio to the bytes of a file and
back; codax in its portable mode (`codax encode --entropy=lm`). Runs alternate, A B A B ..., and ratios are taken pair
by pair. Each side first runs once to compile.
"""

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import codax
import numpy as np
import torch
from codax.audio import write
from codax.data.sources.spec import load_utterances
from codax.interop.encodec_lm import import_lm
from codax.interop.formats import import_model
from codax.lm.storage import save_lm
from encodec import EncodecModel
from encodec.model import LMModel

PAST_SECONDS = 3.5
compress = importlib.import_module("encodec.compress")  # the package has a function with the same name


def speech(rate: int, channels: int, seconds: float) -> np.ndarray:
    """Concatenated prompts: float32 [channels, time]."""
    prompts = load_utterances("starter", sample_rate=rate)
    joined = np.concatenate([prompt.audio[:, 0] for prompt in prompts])
    return np.tile(joined[None, : round(seconds * rate)], (channels, 1)).astype(np.float32)


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(name: str, seconds: float, kbps: float, runs: int, folder: Path) -> None:
    torch.manual_seed(0)
    theirs = getattr(EncodecModel, name.replace("encodec", "encodec_model"))(pretrained=False).eval()
    lm = LMModel(theirs.quantizer.n_q, 1024, num_layers=5, dim=200, past_context=int(PAST_SECONDS * theirs.frame_rate))
    theirs.name, theirs.get_lm_model = name, lm.eval
    theirs.set_target_bandwidth(kbps)
    compress.MODELS[name] = lambda: theirs
    torch.save(theirs.state_dict(), folder / "codec.th")
    torch.save(lm.state_dict(), folder / "lm.th")
    codec = import_model(folder / "codec.th")
    save_lm(import_lm(folder / "lm.th"), codec.config, folder / "lm")

    audio = speech(theirs.sample_rate, theirs.channels, seconds)
    write(folder / "in.wav", audio.T, theirs.sample_rate)
    source, coded, decoded = (str(folder / file) for file in ("in.wav", "coded.codax", "out.wav"))
    levels = codec.config.quantizers_for(kbps)
    packed: list[bytes] = [b""]

    def pack() -> None:
        packed[0] = compress.compress(theirs, torch.from_numpy(audio), use_lm=True)

    work = {
        ("compressing", "encodec"): pack,
        ("compressing", "codax"): lambda: codax.encode_file(
            source, coded, model=codec, kbps=codec.config.kbps(levels), entropy="lm", lm=folder / "lm"
        ),
        ("decompressing", "encodec"): lambda: compress.decompress(packed[0]),
        ("decompressing", "codax"): lambda: codax.decode_file(coded, decoded, model=codec, lm=folder / "lm"),
    }
    for task in work.values():
        task()
    for verb in ("compressing", "decompressing"):
        pairs = [[timed(work[verb, who]) for who in ("encodec", "codax")] for _ in range(runs)]
        there, here = (seconds / statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(a / b for a, b in pairs)
        print(
            f"{name}, {kbps:g} kbps, {seconds:g} s, {verb}: encodec {there:.2f}, codax {here:.2f} times real time; "
            f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="encodec_24khz,encodec_48khz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kbps", type=float, default=6.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            compare(name, arguments.seconds, arguments.kbps, arguments.runs, Path(folder))


if __name__ == "__main__":
    main()
