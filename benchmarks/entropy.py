"""Bits that entropy coding saves on the starter corpus's English test prompts, and how fast it is.

    python benchmarks/entropy.py MODEL [--utterances 57] [--joined]

Each prompt is coded as a block of its own, as the files of `codax encode --entropy` are. Prints a line for each rate of
the model: bits per code, share saved of the packed codes, and seconds of audio coded and decoded per second.
"""

import argparse
import time

import codax
import numpy as np
from codax.data.sources import load_utterances
from codax.entropy import coding
from codax.entropy.adaptive import AdaptiveModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--utterances", type=int, default=None)
    parser.add_argument("--joined", action="store_true", help="join the prompts and cut blocks of ten seconds")
    arguments = parser.parse_args()
    codec = codax.load(arguments.model)
    rate = codec.config.model.sample_rate
    prompts = load_utterances("starter", sample_rate=rate, limit=arguments.utterances)
    blocks = [codec.encode(prompt.audio[None]).codes[0] for prompt in prompts]
    seconds = sum(prompt.seconds for prompt in prompts)
    if arguments.joined:
        joined, frames = np.concatenate(blocks), round(10 * codec.config.frame_rate)
        blocks = [joined[i : i + frames] for i in range(0, len(joined), frames)]
    print(f"{len(prompts)} prompts, {seconds:.0f} s, {len(blocks)} blocks")
    for kbps in codec.config.quantizer.kbps:
        levels = codec.config.quantizers_for(kbps)
        model = AdaptiveModel(codec.usage()[:levels], 1)
        some = [block[:, :levels] for block in blocks]
        start = time.perf_counter()
        messages = coding.encode_blocks(model, some)
        middle = time.perf_counter()
        found = coding.decode_blocks(model, messages, [len(block) for block in some])
        end = time.perf_counter()
        assert all(np.array_equal(a, b) for a, b in zip(found, some, strict=True))
        codes, full = sum(block.size for block in some), codec.config.bits_per_code
        bits = 8 * sum(map(len, messages)) / codes
        print(
            f"{kbps:g} kbps: {bits:.2f} of {full} bits per code, {100 - 100 * bits / full:.1f} % saved; "
            f"coded {seconds / (middle - start):.0f} times, decoded {seconds / (end - middle):.0f} times real time"
        )


if __name__ == "__main__":
    main()
