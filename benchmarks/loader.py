"""Speed of the data loader, and the fraction of a training step spent waiting for it.

    python benchmarks/loader.py [--data starter] [--files 400] [--seconds 10] [--threads 2] [--workers 0] [--train 0]

Recordings of a source are stored as shards, as FLAC files, and as FLAC files at 44.1 kHz to be resampled. Batches of
the quickstart (8 crops of half a second, 16 kHz) are read from each, and from a mixture of two halves of the shards
with the strategies of the EnCodec paper. Rates are seconds of audio per second of time, and per second of
processor time ("per core"; without --workers, whose time is not measured). With --train N the quickstart is trained for
N steps on each; the waiting fraction is the mean of the logged values from step 50 on.
"""

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

from codax import audio
from codax.config import Config
from codax.config.recipe_files import load_recipe
from codax.data import pipeline
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source

ROOT = Path(__file__).parents[1]
WARM_UP = 20  # batches


def prepare(spec: str, files: int, folder: Path) -> dict[str, dict]:
    """Writes the recordings; returns the settings of `data` for each case."""
    source = open_source(spec, sample_rate=16_000)
    count = min(files, len(source))
    for k in range(count):
        samples = source.read(k * len(source) // count)
        for rate in (16_000, 44_100):
            path = folder / f"flac{rate}" / f"{'ab'[k % 2]}{k:05d}.flac"
            path.parent.mkdir(exist_ok=True)
            audio.write(path, audio.resample(samples, 16_000, rate), rate)
    shards = build_shards(str(folder / "flac16000"), folder / "shards", sample_rate=16_000)
    rows = shards.read_text(encoding="utf-8").splitlines()
    for half in "ab":
        chosen = [row for row in rows if json.loads(row)["id"].startswith(half)]
        (folder / "shards" / f"{half}.jsonl").write_text("\n".join(chosen), encoding="utf-8")
    halves = tuple(f"{name}={folder / 'shards' / half}.jsonl" for name, half in (("music", "a"), ("speech", "b")))
    return {
        "shards, int16, not cached": {"source": str(folder / "shards"), "memory_mb": 0},
        "shards, int16, cached in memory": {"source": str(folder / "shards")},
        "folder of FLAC, 16 kHz": {"source": str(folder / "flac16000")},
        "folder of FLAC, 44.1 kHz, resampled": {"source": str(folder / "flac44100")},
        "mixture of two sources of shards": {"sources": halves, "normalize_peak": True, "gain_db": (-10.0, 6.0)},
    }


def recipe(case: dict, arguments: argparse.Namespace) -> Config:
    config = load_recipe(ROOT / "configs" / "quickstart.py")
    config.data.read_threads, config.data.worker_processes = arguments.threads, arguments.workers
    for name, value in case.items():
        setattr(config.data.mixture if name == "sources" else config.data, name, value)
    return config.validate()


def speed(config: Config, seconds: float) -> tuple[float, float]:
    """Seconds of audio per second, and per second of processor time."""
    batches = pipeline.training_batches(config, batch_size_per_process=config.train.batch_size)
    for _ in range(WARM_UP):
        next(batches)
    count, began, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        next(batches)
        count += 1
    made = count * config.train.batch_size * config.train.segment_seconds
    rates = made / (time.perf_counter() - began), made / (time.process_time() - used)
    batches.close()
    return rates


def waiting(config: Config, steps: int, workdir: Path) -> float:
    """Fraction of the time that a training run waited for data."""
    from codax.training import loop

    config.train.steps = config.train.eval_every = config.train.checkpoint_every = steps
    loop.train(config, workdir)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    shares = [line["time/data_share"] for line in lines if line["kind"] == "train" and line["step"] > 50]
    return sum(shares) / len(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="starter")
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes that read ahead")
    parser.add_argument("--train", type=int, default=0, metavar="STEPS", help="100 or more; 0 = do not train")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        cases = prepare(arguments.data, arguments.files, Path(name))
        for number, (title, case) in enumerate(cases.items()):
            wall, core = speed(recipe(case, arguments), arguments.seconds)
            line = f"{title:36} {wall:8.0f} s/s"
            if not arguments.workers:
                line += f" {core:8.0f} s/s per core"
            if arguments.train:
                share = waiting(recipe(case, arguments), arguments.train, Path(name) / f"run{number}")
                line += f", {100 * share:5.2f} % of a training step"
            print(line, flush=True)


if __name__ == "__main__":
    main()
