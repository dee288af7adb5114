"""Benefit and cost of beam search in a model's quantizer: latent error, quality, and encoding time.

    python benchmarks/beam.py --model=soundstream-speech --kbps=3,6 [--widths=1,2,4,8] [--data=starter] [--limit=20] \\
        [--metrics=visqol,wer]

Times are for encoding 10 s: medians over `--rounds`, with the widths in turn.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import codax
import numpy as np
from card_tables import COLUMNS, cell
from codax.codec.codec import Codec
from codax.data.sources.spec import load_utterances
from codax.evaluation.codecs import Model
from codax.evaluation.runner import evaluate

SECONDS = 10.0


def latent_error(codec: Codec, signals: list[np.ndarray], levels: int) -> float:
    """Squared error of the quantized latent relative to its variance, in dB, over signals [time, channels]."""
    error, variance = 0.0, 0.0
    for signal in signals:
        piece = signal[: len(signal) // codec.config.hop * codec.config.hop, :1][None]
        latent = np.asarray(
            codec.module.apply({"params": codec.params, "codebook": codec.codebook}, piece, method="encode_latent")
        )
        quantized = codec.vectors(codec.engine.encode_piece(piece, False, levels))
        error += float(np.sum((latent - quantized) ** 2))
        variance += float(np.sum((latent - latent.mean(axis=1, keepdims=True)) ** 2))
    return 10 * np.log10(error / variance)


def times(codecs: dict[int, Codec], levels: int, rounds: int) -> dict[int, float]:
    """Median seconds to encode 10 s with each width."""
    rate = next(iter(codecs.values())).config.model.sample_rate
    signal = (0.1 * np.random.default_rng(0).standard_normal((1, int(SECONDS * rate), 1))).astype(np.float32)
    samples: dict[int, list[float]] = {width: [] for width in codecs}
    for turn in range(rounds + 1):
        for width, codec in codecs.items():
            start = time.perf_counter()
            codec.engine.encode_piece(signal, False, levels)
            if turn:  # the first one compiles
                samples[width].append(time.perf_counter() - start)
    return {width: statistics.median(values) for width, values in samples.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--kbps", default="")
    parser.add_argument("--widths", default="1,2,4,8")
    parser.add_argument("--data", default="starter")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--metrics", default="visqol,wer")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    codecs = {int(width): codax.load(args.model, beam=int(width)) for width in args.widths.split(",")}
    config = next(iter(codecs.values())).config
    rates = [float(rate) for rate in args.kbps.split(",")] if args.kbps else list(config.quantizer.kbps)
    utterances = load_utterances(args.data, sample_rate=config.model.sample_rate, limit=args.limit)
    signals = [utterance.audio for utterance in utterances]
    models = [Model(f"beam {width}", codec) for width, codec in codecs.items()]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results"
        evaluate(models, args.data, kbps=rates, metrics=args.metrics.split(","), limit=args.limit, out=out)
        systems = json.loads((out / "results.json").read_text(encoding="utf-8"))["systems"]
    by_label = {system["label"]: system["metrics"] for system in systems}
    names = [name for name in COLUMNS if any(name in metrics for metrics in by_label.values())]
    print(" | ".join(["| kbps | beam | error, dB", *(COLUMNS[name] for name in names), "time of 10 s, ms"]) + " |")
    print("|---" * (4 + len(names)) + "|")
    for rate in rates:
        levels = config.quantizers_for(rate)
        medians = times(codecs, levels, args.rounds)
        for width, codec in codecs.items():
            metrics = by_label[f"beam {width} {config.kbps(levels):g} kbps"]
            cells = [f"{rate:g}", str(width), f"{latent_error(codec, signals, levels):.2f}"]
            cells += [cell(metrics, name) for name in names] + [f"{1000 * medians[width]:.0f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
