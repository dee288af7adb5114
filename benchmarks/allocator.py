"""Measures the effect of allocator settings and huge pages on the time of a training step.

    python benchmarks/allocator.py [--config configs/quickstart.py] [--steps 30] [--runs 3]

The settings are read when a process starts, so each measurement is a separate process, in the order A B C A B C ...; it
takes the median over its steps, and ratios are taken run by run. "kept" uses `kept_memory`, "huge" also
`use_huge_pages`; "default" is glibc's allocator. Adversarial losses are off.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from codax.runtime.allocator import HUGE_PAGES, SWITCH, kept_memory

ROOT = Path(__file__).parents[1]


def measure(recipe: Path, steps: int) -> float:
    """Median time of a step with quantizer and mel loss, in seconds."""
    import jax
    import numpy as np
    from codax.config.recipe_files import load_recipe
    from codax.training import state as st
    from codax.training.step import Phase, make_step

    config = load_recipe(recipe)
    shape = (config.train.batch_size, config.segment_samples, 1)
    batch = {"audio": np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.1}
    state = st.init_state(config)
    phase = Phase(quantize=True, spectral=True, adversarial=False)
    step = jax.jit(make_step(config, phase, None), donate_argnums=0).lower(state, batch).compile()
    seconds = []
    for _ in range(steps + 5):
        start = time.perf_counter()
        state, _ = step(state, batch)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[5:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "quickstart.py")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        with kept_memory():
            print(measure(args.config, args.steps))
        return

    command = [sys.executable, __file__, "--measure", f"--steps={args.steps}", f"--config={args.config}"]
    plain = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", SWITCH)}
    settings = {
        "default": plain | {SWITCH: "0"},
        "kept": plain,
        "huge": plain | {"GLIBC_TUNABLES": f"{HUGE_PAGES}=1"},
    }
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(args.runs):
        for name, env in settings.items():
            text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
            seconds[name].append(float(text))
    for name, times in seconds.items():
        ratios = sorted(a / b for a, b in zip(seconds["default"], times, strict=True))
        print(f"{name}: {statistics.median(times):.3f} s, default / it: {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main()
