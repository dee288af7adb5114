"""Savings and speed of entropy coding on the English test prompts of the starter corpus.

    python benchmarks/entropy.py MODEL [--lm DIR] [--utterances 57] [--joined]

Each prompt is coded as one block, or as several if the language model's blocks are shorter. Prints a line for each rate
of the model and each method: bits per code, fraction saved of the packed codes, and seconds of audio coded and decoded
per second, without the codec.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import codax
import numpy as np
from codax.data.sources.spec import load_utterances
from codax.entropy import coding
from codax.entropy.adaptive import AdaptiveModel
from codax.lm.integer import IntegerModel
from codax.lm.storage import has_lm, load_integers


def models(codec: codax.Codec, lm: Path | None, levels: int) -> Iterator[tuple[str, coding.Model, int]]:
    """Yields name, model and largest number of frames of a block."""
    yield "adaptive", AdaptiveModel(codec.usage()[:levels], 1), round(10 * codec.config.frame_rate)
    if lm is not None:
        config, arrays = load_integers(lm)
        if levels <= config.codebooks:
            yield "lm", IntegerModel(config, arrays, levels, 1), len(arrays["positions"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lm", type=Path, default=None, help="default: MODEL/lm, if it exists")
    parser.add_argument("--utterances", type=int, default=None)
    parser.add_argument("--joined", action="store_true", help="join the prompts, as one long file")
    arguments = parser.parse_args()
    own = Path(arguments.model) / "lm"
    lm = arguments.lm or (own if has_lm(own) else None)
    codec = codax.load(arguments.model)
    full, rate = codec.config.bits_per_code, codec.config.model.sample_rate
    prompts = load_utterances("starter", sample_rate=rate, limit=arguments.utterances)
    codes = [codec.encode(prompt.audio[None]).codes[0] for prompt in prompts]
    seconds = sum(prompt.seconds for prompt in prompts)
    if arguments.joined:
        codes = [np.concatenate(codes)]
    print(f"{len(prompts)} prompts, {seconds:.0f} s")
    for kbps in codec.config.quantizer.kbps:
        levels = codec.config.quantizers_for(kbps)
        for name, model, most in models(codec, lm, levels):
            blocks = [part[i : i + most, :levels] for part in codes for i in range(0, len(part), most)]
            groups = [blocks[i : i + 16] for i in range(0, len(blocks), 16)]
            for group in groups:  # compiles
                coding.decode_blocks(model, coding.encode_blocks(model, group), [len(block) for block in group])
            begin = time.perf_counter()
            messages = [coding.encode_blocks(model, group) for group in groups]
            middle = time.perf_counter()
            decoded = [
                coding.decode_blocks(model, some, [len(block) for block in group])
                for some, group in zip(messages, groups, strict=True)
            ]
            end = time.perf_counter()
            for group, restored in zip(groups, decoded, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(group, restored, strict=True))
            bits = 8 * sum(len(m) for some in messages for m in some) / sum(block.size for block in blocks)
            print(
                f"{kbps:g} kbps, {name}: {bits:.2f} of {full} bits per code, {100 - 100 * bits / full:.1f} % saved; "
                f"coded {seconds / (middle - begin):.0f} times, decoded {seconds / (end - middle):.0f} times real time"
            )


if __name__ == "__main__":
    main()
