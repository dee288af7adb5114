"""Throughput of `codax tokenize` beside a plain loop over `codec.encode`, on the same files in one run.

    python benchmarks/token_throughput.py SPEC [--model soundstream-speech] [--kbps 6] [--rounds 3]

Prints the median speed of both sides in times real time, the CPU seconds for an hour of audio, how many clips have
equal codes, and the peak memory of the process. Compilation is not counted: a first round is left out.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import codax
import numpy as np
from codax.data.sources.spec import open_source
from codax.runtime.program import program
from codax.tokens import TokenDataset
from codax.tokens.build import build_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("--model", default="soundstream-speech")
    parser.add_argument("--kbps", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with program():
        codec = codax.load(args.model)
        source = open_source(args.spec, sample_rate=codec.config.model.sample_rate)

        codes, equal = {}, []  # by id; whether they are those of the loop

        def loop() -> None:
            for i, entry in enumerate(source):
                codes[entry.id] = codec.encode(source.read(i), kbps=args.kbps, channels="mix").codes[0]

        def tokenize() -> None:
            with tempfile.TemporaryDirectory() as folder:
                build_tokens(args.spec, Path(folder) / "out", codec, kbps=args.kbps)
                records = TokenDataset(Path(folder) / "out")
                equal[:] = [np.array_equal(record["codes"], codes[record["id"]]) for record in records]

        times: dict[str, list[tuple[float, float]]] = {"loop": [], "tokenize": []}
        for _ in range(args.rounds + 1):
            for name, side in (("loop", loop), ("tokenize", tokenize)):
                start, cpu = time.perf_counter(), time.process_time()
                side()
                times[name].append((time.perf_counter() - start, time.process_time() - cpu))
        for name, rounds in times.items():
            wall, cpu = (statistics.median(values) for values in zip(*rounds[1:], strict=True))
            print(f"{name:10}{source.seconds / wall:8.0f} x real time{cpu / source.seconds * 3600:8.1f} CPU s per hour")
        print(f"equal codes {sum(equal)} of {len(source)} clips")
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
