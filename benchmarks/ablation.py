"""Trains the same small speech codec with different losses, evaluates all, and prints the tables of docs/results.md.

    python benchmarks/ablation.py --out=runs/ablation --data=data/librispeech [--arms=a,b] [--seed=0] \\
        --config.data.mixture.sources='("starter=starter","librispeech=data/librispeech","speechocean=data/speechocean")'

Arms differ in the fields of `ARMS` only; steps, data, batches and seed are equal. `--config.FIELD=VALUE` sets a field
of all arms. A folder for each selection of arms in OUT/evaluation has what eval.py writes, tables.md (means, and paired
differences from the first arm, with 95 % intervals) and losses.png. A stopped run resumes when the same command is run
again. Finished arms are kept, so that further ones can be added to `--arms` later.
"""

import argparse
import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import loss_curves
from card_tables import COLUMNS, DIGITS, table
from codax.config import recipe_flags
from codax.metrics import registry

ROOT = Path(__file__).parents[1]
RECIPE = "configs/soundstream_speech.py"
METRICS = "visqol,pesq,stoi,dnsmos,wer,speaker,level,comb"
START = 300  # steps that train the autoencoder alone, before the codebooks start
SMALL = {
    "model.channels": 96,
    "model.max_channels": 192,
    "quantizer.num_quantizers": 6,
    "quantizer.kbps": (1.0, 3.0, 6.0),
    "quantizer.start_step": START,
    "quantizer.dead_threshold": 0.05,
    "loss.spectral_start_step": START,
    "loss.waveform": 22.0,
    "loss.spectral": 15.0,
    "train.steps": 6_000,
    "train.batch_size": 4,
    "train.log_every": 50,
    "train.eval_every": 1_000_000,  # the end alone
    "train.checkpoint_every": 500,
    "train.checkpoints_kept": 1,
}
DISCRIMINATORS = {
    "loss.adversarial": 1.0,
    "loss.feature": 2.0,
    "loss.feature_form": "relative",
    "optimizer.discriminator_learning_rate": 3e-4,
    "discriminator.stft": False,
    "discriminator.wave_scales": 0,
    "discriminator.msstft_windows": (1024, 512, 256),
    "discriminator.msstft_channels": 8,
    "discriminator.msstft_kernel": (3, 5),
    "discriminator.start_step": 2 * START,
}
SELF_SUPERVISED = {
    "loss.self_supervised": 40.0,
    "loss.self_supervised_teacher": "wakehubert",
    "loss.self_supervised_noise": 0.003,
    "loss.self_supervised_layers": (2, 5, 8),
}
BOTH = {**DISCRIMINATORS, **SELF_SUPERVISED}
FRAMES = {"model.frame_decoder.layers": 6, "model.frame_decoder.channels": 256}
ARMS: dict[str, tuple[str, dict]] = {
    "a": ("reconstruction", {}),
    "b": ("discriminators", DISCRIMINATORS),
    "c": ("self-supervised", SELF_SUPERVISED),
    "d": ("both", BOTH),
    "e": ("both, frame decoder", {**BOTH, **FRAMES}),
    "f": ("both, frame decoder with noise", {**BOTH, **FRAMES, "model.noise_channels": 8}),
}


def run(*arguments: object) -> None:
    """Runs a program of the repository, and ends it if this one is ended; exits if it fails."""
    process = subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT)
    try:
        status = process.wait()
    finally:
        process.terminate()  # it stores what it has
        process.wait()
    if status:
        sys.exit(f"{arguments[0]} failed; the same command resumes")


def flags_of(arm: str, seed: int, common: list[str]) -> list[str]:
    """The flags of train.py for an arm. Raises CodaxError for a field that is unknown or has no effect."""
    fields = {**SMALL, **ARMS[arm][1], "seed": seed}
    flags = [*(f"--config.{field}={value}" for field, value in fields.items()), *common]
    recipe_flags.read(str(ROOT / RECIPE), flags)
    return flags


def evaluate(models: dict[str, Path], args: argparse.Namespace) -> Path:
    """The folder of an evaluation of the models; an earlier one is kept if it is newer and has the metrics."""
    out = args.out / "evaluation" / "-".join(models)
    results = out / "results.json"
    trained = max((model / "config.json").stat().st_mtime for model in models.values())
    known = json.loads(results.read_text(encoding="utf-8"))["metrics"] if results.exists() else {}
    metrics = registry.select(args.metrics.split(",")).keys
    if not set(metrics) <= known.keys() or results.stat().st_mtime < trained:
        named = ",".join(f"{name}={model}" for name, model in models.items())
        options = [f"--{name}={getattr(args, name)}" for name in ("data", "limit", "metrics", "kbps", "baselines")]
        run("eval.py", f"--model={named}", f"--out={out}", "--overwrite", *options)
    return out


def differences(folder: Path) -> list[str]:
    """Lines of a table: each arm minus the first at the same rate, with intervals; bold if they exclude 0."""
    rows = list(csv.DictReader((folder / "comparisons.csv").open(encoding="utf-8")))
    systems = json.loads((folder / "results.json").read_text(encoding="utf-8"))["systems"]
    codecs = [system for system in systems if system["kind"] == "codec"]
    names = [name for name in COLUMNS if any(row["metric"] == name for row in rows)]
    lines = [" | ".join(["| difference from the first", *(COLUMNS[name] for name in names)]) + " |"]
    lines.append("|---" + "|---" * len(names) + "|")
    for base in (system for system in codecs if system["series"] == codecs[0]["series"]):
        for other in codecs:
            pair = {row["metric"]: row for row in rows if (row["first"], row["second"]) == (base["key"], other["key"])}
            if pair and other["nominal_kbps"] == base["nominal_kbps"]:
                lines.append(" | ".join([f"| {other['label']}", *(_difference(pair, name) for name in names)]) + " |")
    return lines


def _difference(pair: dict[str, dict], name: str) -> str:
    """The second system minus the first."""
    if name not in pair:
        return ""
    mean, low, high = (-float(pair[name][key]) for key in ("difference", "high", "low"))
    digits, mark = DIGITS.get(name, 2), "**" if low > 0 or high < 0 else ""
    return f"{mark}{mean:+z.{digits}f}{mark} ({low:+z.{digits}f} to {high:+z.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--arms", default=",".join(ARMS), help="; ".join(f"{k}: {v[0]}" for k, v in ARMS.items()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="starter", help="SPEC of the evaluation")
    parser.add_argument("--limit", type=int, default=0, help="utterances that are evaluated; 0 = all")
    parser.add_argument("--kbps", default="1,3,6")
    parser.add_argument("--baselines", default="opus:6,opus:9")
    parser.add_argument("--metrics", default=METRICS)
    args, common = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command resumes"))
    args.out = args.out.resolve()
    flags = {arm: flags_of(arm, args.seed, common) for arm in args.arms.split(",")}  # checked before hours of training
    runs = {f"{arm}-{args.seed} {ARMS[arm][0]}": args.out / f"{arm}-{args.seed}" for arm in flags}
    for arm, folder in zip(flags, runs.values(), strict=True):
        run("train.py", f"--config={RECIPE}", f"--workdir={folder}", *flags[arm])
        if not (folder / "export").is_dir():
            sys.exit(f"{folder}: the training was stopped before its end; the same command resumes it")
    evaluation = evaluate({folder.name: folder / "export" for folder in runs.values()}, args)
    results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    text = "\n".join([*table(results), *(["", *differences(evaluation)] if len(runs) > 1 else [])])
    (evaluation / "tables.md").write_text(text + "\n", encoding="utf-8")
    loss_curves.plot(runs, evaluation / "losses.png")
    print(text)


if __name__ == "__main__":
    main()
