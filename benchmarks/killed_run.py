"""Kills a training run repeatedly and compares its export with that of an uninterrupted run, byte for byte.

    python benchmarks/killed_run.py --out=DIR [--kills=20] [--seed=0] -- --config=configs/quickstart.py [FLAG ...]

SIGKILL is sent at random times, while the run starts, computes, saves and evaluates. Nothing is cleaned up in between.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

TRAIN = Path(__file__).parents[1] / "train.py"


def start(flags: list[str], workdir: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts the run as a process; its output is appended to `log`."""
    command = [sys.executable, str(TRAIN), *flags, f"--workdir={workdir}"]
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def newest(workdir: Path) -> int:
    """Step of the newest checkpoint; 0 without one."""
    return max((int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdecimal()), default=0)


def finish(flags: list[str], workdir: Path, log: Path) -> float:
    """Runs to the end; returns the elapsed seconds."""
    began = time.monotonic()
    if code := start(flags, workdir, log).wait():
        sys.exit(f"{log}: train.py ended with status {code}")
    return time.monotonic() - began


def kill_often(flags: list[str], workdir: Path, log: Path, kills: int, chance: random.Random) -> int:
    """Kills the run up to `kills` times; returns the number of kills before its end."""
    hits, longest = 0, 5.0
    while hits < kills:
        before = newest(workdir)
        process = start(flags, workdir, log)
        try:
            process.wait(timeout=chance.uniform(0.2, longest))
            return hits  # finished
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        hits += 1
        # A run without a new checkpoint gets more time, so that about every other one makes progress.
        longest *= 1.2 if newest(workdir) == before else 0.8
        print(f"kill {hits}: newest checkpoint {newest(workdir)}", flush=True)
    return hits


def compare(one: Path, other: Path) -> list[str]:
    """Files that differ or are only in one of the folders."""
    names = {p.relative_to(folder) for folder in (one, other) for p in folder.rglob("*") if p.is_file()}
    both = [(name, one / name, other / name) for name in sorted(names)]
    return [str(n) for n, a, b in both if not (a.exists() and b.exists() and a.read_bytes() == b.read_bytes())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("flags", nargs="+", help="of train.py")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    whole, killed, log = (options.out / name for name in ("whole", "killed", "log.txt"))
    seconds = finish(options.flags, whole, log)
    hits = kill_often(options.flags, killed, log, options.kills, random.Random(options.seed))
    finish(options.flags, killed, log)
    folders = ("export", "best")
    different = [f"{name}/{file}" for name in folders for file in compare(whole / name, killed / name)]
    verdict = f"differ: {', '.join(different)}" if different else "are equal"
    print(f"{hits} kills; the run alone took {seconds:.0f} s; the exports {verdict}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
