"""Trains one tiny codec with each kind of quantizer, evaluates all, and prints the table of docs/quantizers.md.

    python benchmarks/quantizer_study.py --out runs/quantizers [--steps 1000] [--limit 20] [--only fsq,rotation]

The codec is a smaller quickstart, with 10 bits and 200 codes per second at every level, so that all variants have the
same bit rates. Existing results are reused: an interrupted run resumes, and a finished one and its evaluation are kept.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from codax.metrics import registry

ROOT = Path(__file__).parents[1]
START = 150  # steps that train the autoencoder only, from whose latent the quantizer is then initialised
SMALL = {
    "model.channels": 64,
    "model.dimension": 64,
    "quantizer.num_quantizers": 6,
    "quantizer.kbps": (6.0, 12.0),
    "quantizer.start_step": START,
    "loss.spectral_start_step": START,
    "optimizer.warmup_steps": 50,
    "train.log_every": 25,
    "train.eval_every": 100_000,
}
# Factorised codebooks are initialised at random, without waiting for a latent. Their losses have DAC's weights
# relative to the spectral loss, 15 : 0.25 : 1.
FACTORISED = {
    "quantizer.kind": "factorised",
    "quantizer.projection": 8,
    "quantizer.start_step": 0,
    "loss.commitment": 1.0,
    "loss.codebook": 4.0,
}
VARIANTS: dict[str, tuple[str, dict]] = {
    "average": ("moving averages", {}),
    "not_replaced": ("moving averages, no replacement", {"quantizer.dead_threshold": 0.0}),
    "normalised": ("moving averages, by angle", {"quantizer.normalise": True}),
    "rotation": ("moving averages, rotation", {"quantizer.gradient": "rotation"}),
    "fsq": ("FSQ", {"quantizer.kind": "fsq"}),
    "factorised": ("factorised", FACTORISED),
    "factorised_rotation": ("factorised, rotation", {**FACTORISED, "quantizer.gradient": "rotation"}),
}
COLUMNS = (
    ("codebook_use", "use", "%", 0),
    ("perplexity", "perplexity", "", 0),
    ("visqol_exponential", "ViSQOL, exponential", "", 2),
    ("dwer", "dWER", "%", 1),
    ("onset_distance", "onset distance", "dB", 2),
    ("steady_distance", "steady distance", "dB", 2),
)


def run(*arguments: object) -> None:
    """Runs a program of the repository; exits if it fails."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed")


def train(name: str, folder: Path, *, steps: int, source: str) -> None:
    """Trains a variant, or resumes its training."""
    if (folder / "evaluation").exists():
        return  # already trained
    fields = {**SMALL, "train.steps": steps, "data.source": source, **VARIANTS[name][1]}
    flags = [f"--config.{field}={value}" for field, value in fields.items()]
    run("train.py", "--config=configs/quickstart.py", f"--workdir={folder / 'run'}", *flags)


def evaluate(name: str, folder: Path, *, limit: int, metrics: str) -> dict:
    """The results of a trained variant, evaluated unless they exist with all metrics."""
    results = folder / "evaluation" / "results.json"
    keys = set(registry.select(metrics.split(",")).keys)
    evaluation = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"metrics": {}}
    if not keys <= set(evaluation["metrics"]):
        model = f"--model={name}={folder / 'run' / 'export'}"
        options = [f"--out={results.parent}", f"--limit={limit}", f"--metrics={metrics}", "--overwrite"]
        run("eval.py", model, "--data=starter", *options)
        evaluation = json.loads(results.read_text(encoding="utf-8"))
    return evaluation


def rows(name: str, results: dict) -> list[list[str]]:
    """The cells of its rows, one for each rate."""
    cells_of_rates = []
    for system in results["systems"]:
        if system["kind"] != "codec":
            continue
        cells = []
        for key, *_, digits in COLUMNS:
            value = system["metrics"].get(key)
            note = f" ({value['note']})" if value and "note" in value else ""
            cells.append(f"{value['mean']:.{digits}f}{note}" if value else "")
        cells_of_rates.append([VARIANTS[name][0], f"{system['nominal_kbps']:g}", *cells])
    return cells_of_rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/quantizers"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--limit", type=int, default=0, help="prompts that are evaluated; 0 = all 57")
    parser.add_argument("--source", default="starter", help="data.source of training")
    parser.add_argument("--metrics", default="visqol,wer,codebooks,onsets", help="wer, which includes dWER, is slowest")
    parser.add_argument("--only", default=",".join(VARIANTS), help=f"some of {', '.join(VARIANTS)}")
    args = parser.parse_args()
    folders = {name: args.out.resolve() / name for name in args.only.split(",")}
    for name, folder in folders.items():
        train(name, folder, steps=args.steps, source=args.source)
    table = []
    for name, folder in folders.items():
        table += rows(name, evaluate(name, folder, limit=args.limit, metrics=args.metrics))
    units = [f"{label}, {unit}" if unit else label for _, label, unit, _ in COLUMNS]
    head = ["quantizer", "kbps", *units]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *table]))


if __name__ == "__main__":
    main()
