"""Compares the native convolutions with the matrix-product forms on this machine.

    python benchmarks/conv_lowerings.py [--channels 32] [--runs 5]

A forward and backward pass of the encoder is timed with each lowering in turn, A B A B ..., and ratios are taken pair
by pair.
"""

import argparse
import statistics
import time

import jax
from codax.config import Config
from codax.nets import conv
from codax.nets.soundstream import Encoder
from codax.runtime.program import program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    config = Config()
    config.model.channels = args.channels
    samples = int(args.seconds * config.model.sample_rate) // config.hop * config.hop
    audio = jax.random.normal(jax.random.key(0), (args.batch, samples, 1))
    encoder = Encoder(config.model)
    params = encoder.init(jax.random.key(1), audio[:, : 4 * config.hop])

    compiled = {}
    for lowering in ("native", "matmul"):
        # Read at trace time: each compiled function keeps the form with which it was traced.
        conv.default_lowering = lambda lowering=lowering: lowering
        step = jax.jit(jax.grad(lambda p, x: (encoder.apply(p, x) ** 2).mean()))
        compiled[lowering] = step.lower(params, audio).compile()
        jax.clear_caches()

    seconds: dict[str, list[float]] = {"native": [], "matmul": []}
    for _ in range(args.runs + 1):
        for name, step in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(step(params, audio))
            seconds[name].append(time.perf_counter() - start)
    pairs = list(zip(seconds["native"], seconds["matmul"], strict=True))[1:]  # the first pair warms up
    ratios = sorted(a / b for a, b in pairs)
    print(f"{jax.default_backend()}, {args.batch} x {args.seconds:g} s, C = {args.channels}: ", end="")
    print(
        f"native {statistics.median(a for a, _ in pairs):.3f} s, matmul {statistics.median(b for _, b in pairs):.3f} s"
    )
    print(f"native / matmul: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    with program():
        main()
