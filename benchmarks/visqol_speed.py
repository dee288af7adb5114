"""Speed of ViSQOL in seconds of audio per second: codax against the visqol-python package, in the same run.

    python benchmarks/visqol_speed.py [--clips 100] [--mode speech]

All score the same clips of the starter corpus against their Opus versions at 12 kbps, from arrays in memory, after one
uncounted run: the package and codax.metrics.visqol.visqol clip by clip in turn, visqol_batch all clips at once.
"""

import argparse
import functools
import time

import numpy as np
from codax.audio import resample
from codax.baselines import specs
from codax.data.sources.spec import load_utterances
from codax.metrics import visqol
from codax.metrics.visqol.batch import visqol_batch

RATES = {"speech": 16_000, "audio": 48_000}


def clips(count: int, rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(original, degraded), each [time] at `rate` Hz; prompts are repeated if there are too few."""
    prompts = load_utterances("starter", sample_rate=16_000)
    opus = specs.parse("opus:12")
    made = []
    for prompt in prompts[:count]:
        decoded = opus.code(prompt.audio, 16_000).audio
        made.append(tuple(resample(x[:, 0], 16_000, rate).astype(np.float64) for x in (prompt.audio, decoded)))
    return [made[i % len(made)] for i in range(count)]


def package(mode: str):
    """The package's score of a pair; for speech with its polynomial, which needs no TensorFlow."""
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode=mode, use_lattice_model=False)
    return lambda pair, rate: api.measure_from_arrays(*pair, rate).moslqo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--mode", choices=sorted(RATES), default="speech")
    options = parser.parse_args()
    rate = RATES[options.mode]
    mapping = {"speech": "exponential", "audio": "svr"}[options.mode]

    def ours(pair: tuple[np.ndarray, np.ndarray], rate: int) -> float:
        return visqol.visqol(*pair, rate, mode=options.mode, mapping=mapping).moslqo

    scorers = {"visqol-python": package(options.mode), "codax, one by one, float64": ours}
    pairs = clips(options.clips + 1, rate)
    spent, scores = dict.fromkeys(scorers, 0.0), {name: [] for name in scorers}
    for index, pair in enumerate(pairs):
        for name, score in scorers.items():
            began = time.perf_counter()
            value = score(pair, rate)
            if index:
                spent[name] += time.perf_counter() - began
                scores[name].append(value)
    for dtype in ("float64", "float32"):
        name = f"codax, batch, {dtype}"
        batch = functools.partial(visqol_batch, sample_rate=rate, mode=options.mode, mapping=mapping, dtype=dtype)
        list(batch(pairs[:1]))
        began = time.perf_counter()
        scores[name] = [result.moslqo for result in batch(pairs[1:])]
        spent[name] = time.perf_counter() - began
    seconds = sum(len(reference) for reference, _ in pairs[1:]) / rate
    for name, elapsed in spent.items():
        ratio = spent["visqol-python"] / elapsed
        mean = np.mean(scores[name])
        print(f"{name}: {seconds / elapsed:.1f} s of audio in a second, ratio {ratio:.2f}, mean score {mean:.4f}")


if __name__ == "__main__":
    main()
