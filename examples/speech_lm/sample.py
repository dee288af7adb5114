"""Continues speech: a language model of codes draws what follows the first seconds of a recording.

    python examples/speech_lm/sample.py runs/speech_lm/run/export --prompt speech.wav --out continued.wav

The output has the prompt, as the codec restores it, and its continuation. The same seed gives the same audio.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import codax
import numpy as np
from codax import audio
from codax.errors import CodaxError
from codax.lm.predictor import LM
from codax.lm.sampling import extend
from codax.lm.storage import check_codec, load_lm
from codax.runtime.program import program

MODEL = "speechtokenizer-speech"


def open_models(lm_folder: str, model: str) -> tuple[LM, codax.Codec]:
    """Loads a language model and the codec whose codes it learned. Raises CodaxError."""
    lm, codec = load_lm(lm_folder), codax.load(model)
    check_codec(lm_folder, codec)
    if lm.config.codebooks > codec.codebooks or lm.config.codebook_size != codec.config.quantizer.codebook_size:
        raise CodaxError(f"{lm_folder}: predicts other codes than {codec.model_id}")
    return lm, codec


def frames_of(codec: codax.Codec, seconds: float) -> int:
    """Returns whole frames, at least one."""
    return max(1, round(seconds * codec.frame_rate))


def prompt_codes(codec: codax.Codec, file: str, seconds: float, codebooks: int) -> np.ndarray:
    """Encodes the first seconds of a recording: int32 [1, frames, codebooks]. Raises CodaxError."""
    samples, rate = audio.read(file)
    tokens = codec.encode(samples, sample_rate=rate, num_quantizers=codebooks, channels="mix")
    codes, frames = np.asarray(tokens.codes), frames_of(codec, seconds)
    if codes.shape[1] < frames:
        raise CodaxError(f"{file}: is shorter than the prompt of {seconds:g} s")
    return codes[:, :frames]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lm", help="folder of the language model, WORKDIR/export of its training")
    parser.add_argument("--model", default=MODEL, help=f"the codec; default: {MODEL}")
    parser.add_argument("--prompt", required=True, help="recording to continue")
    parser.add_argument("--prompt-seconds", type=float, default=3.0, help="its part that is used; default: 3")
    parser.add_argument("--seconds", type=float, default=7.0, help="length of the continuation; default: 7")
    parser.add_argument("--temperature", type=float, default=0.8, help="0: the likeliest codes; default: 0.8")
    parser.add_argument("--top-k", type=int, default=100, help="likeliest codes to draw from, 0: all; default: 100")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="audio file to write")
    return parser.parse_args()


def run(main: Callable[[], None]) -> None:
    """Runs a program; an error becomes one line and exit status 1."""
    try:
        with program():
            main()
    except (CodaxError, OSError) as error:
        sys.exit(f"error: {error}")


def main() -> None:
    options = arguments()
    if Path(options.out).exists():
        raise CodaxError(f"{options.out}: already exists")
    lm, codec = open_models(options.lm, options.model)
    prompt = prompt_codes(codec, options.prompt, options.prompt_seconds, lm.config.codebooks)
    since = time.monotonic()
    drawing = {"temperature": options.temperature, "top_k": options.top_k, "seed": options.seed}
    codes = extend(lm, prompt, frames_of(codec, options.seconds), **drawing)
    took = time.monotonic() - since
    audio.write(options.out, codec.decode(codes)[0], codec.sample_rate)
    print(f"{options.out}: {options.seconds:g} s after {options.prompt_seconds:g} s, drawn in {took:.1f} s")


if __name__ == "__main__":
    run(main)
