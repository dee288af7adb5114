"""Compares `codax encode` and `codax decode` of many files with a Python loop over a loaded codec.

    python benchmarks/many_files.py [--files 100] [--seconds 6] [--rounds 3] [--jobs 1,2]

The command's time is that of its whole process: start, imports, loading, all files and the summary. The loop's is that
of the files alone, in a process that has imported JAX, loaded the codec and coded a file. Both take turns, and use the
same cache of compiled programs. The table has medians of the time and of the cores' time, which other work on the
machine disturbs less, and their ratios to the loop's.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from codax import audio

LOOP = """
import sys, time
from codax.runtime.allocator import use_huge_pages
use_huge_pages()
from codax.runtime.program import program
with program():
    import codax
    from pathlib import Path
    verb, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    codec, files = codax.load("soundstream-speech"), sorted(source.iterdir())
    def code(file):
        if verb == "encode":
            codax.encode_file(file, target / f"{file.stem}.codax", model=codec)
        else:
            codax.decode_file(file, target / f"{file.stem}.wav", model=codec)
    target.mkdir()
    code(files[0])
    began = time.perf_counter(), time.process_time()
    for file in files:
        code(file)
    print(time.perf_counter() - began[0], time.process_time() - began[1])
"""


def command(verb: str, source: Path, target: Path, jobs: int) -> tuple[float, float]:
    """Returns the seconds of the whole command, and those of the cores."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    arguments = [verb, "--recursive", f"--jobs={jobs}", "--quiet", str(source), str(target)]
    subprocess.run([sys.executable, "-m", "codax", *arguments], check=True)
    after, elapsed = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return elapsed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def loop(verb: str, source: Path, target: Path) -> tuple[float, float]:
    """Returns the seconds of the loop, and those of the cores."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP, verb, source, target], check=True, capture_output=True, text=True
    )
    elapsed, busy = map(float, done.stdout.split())
    return elapsed, busy


def make_files(folder: Path, files: int, seconds: float) -> None:
    """Writes noise of a half to one and a half times `seconds`, at 16 kHz."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(files):
        length = round(16_000 * seconds * rng.uniform(0.5, 1.5))
        audio.write(folder / f"{number:04d}.wav", rng.normal(0, 0.1, length), 16_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="mean length of a file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default="1,2", help="values of --jobs")
    options = parser.parse_args()
    jobs = [int(number) for number in options.jobs.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CODAX_CACHE"] = str(folder / "cache")
        make_files(folder / "encode", options.files, options.seconds)
        print(
            f"{options.files} files of {options.seconds:g} s on average; seconds, of the cores, ratios to the loop",
            flush=True,
        )
        for verb, following in (("encode", "decode"), ("decode", "audio")):
            times: dict[str, list[tuple[float, float]]] = {}
            for _ in range(options.rounds):
                shutil.rmtree(folder / following, ignore_errors=True)
                times.setdefault("loop", []).append(loop(verb, folder / verb, folder / following))
                for number in jobs:
                    shutil.rmtree(folder / following)
                    times.setdefault(f"--jobs {number}", []).append(
                        command(verb, folder / verb, folder / following, number)
                    )
            medians = {
                way: [statistics.median(side) for side in zip(*values, strict=True)] for way, values in times.items()
            }
            for way, values in medians.items():
                ratios = [value / base for value, base in zip(values, medians["loop"], strict=True)]
                print(f"{verb:8}{way:10}" + "".join(f"{value:8.2f}" for value in (*values, *ratios)), flush=True)


if __name__ == "__main__":
    main()
