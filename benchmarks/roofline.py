"""Compares a training step with the peak performance of the accelerator, and shows the limiting resource.

    python benchmarks/roofline.py [--recipe configs/encodec_24khz.py] [--batch 8 64] [--seconds 1]
        [--dtype float32 bfloat16] [--lowering native matmul] [--steps 30] [--profile FOLDER]

First the ceilings: a large matrix product in each type, and a large copy, as measured in JAX. Then a complete step of
the recipe (generator, discriminators, balancer) for each batch, type and form of the one-dimensional convolutions:
FLOPs of its matrix products and convolutions, bytes accessed as counted by XLA, time of a step (mean of consecutive
steps, the better of two runs), and the fractions of both ceilings. A step with a small fraction of both waits for
launches, or for inefficient kernels; `--profile` writes JAX's trace of three steps. Set XLA_FLAGS to compare XLA's
options.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from codax.config.recipe_files import load_recipe
from codax.nets import conv
from codax.planning.loops import product_flops
from codax.training import state as st
from codax.training.step import Phase, make_step

SIDE = 8192  # of the matrices
COPIED = 1 << 29  # float32 values
COLUMNS = (
    "batch",
    "type",
    "convolutions",
    "compiled in, s",
    "memory, GB",
    "step, ms",
    "x real time",
    "TFLOP",
    "share of products",
    "GB accessed",
    "share of copies",
)


def seconds_of(function: Callable[[], object], times: int) -> float:
    """Mean time of a call, the better of two series."""
    jax.block_until_ready(function())
    means = []
    for _ in range(2):
        start = time.perf_counter()
        results = [function() for _ in range(times)][-1]
        jax.block_until_ready(results)
        means.append((time.perf_counter() - start) / times)
    return min(means)


def ceilings(dtypes: list[str], side: int, copied: int) -> tuple[dict[str, float], float]:
    """FLOP/s of a matrix product in each type, and bytes per second read and written by a copy."""
    rates = {}
    for dtype in dtypes:
        x = jax.random.normal(jax.random.key(0), (side, side), jnp.dtype(dtype))
        product = jax.jit(lambda a: a @ a)
        rates[dtype] = 2 * side**3 / seconds_of(lambda x=x, f=product: f(x), 10)
    y = jax.random.normal(jax.random.key(1), (copied,))
    copy = jax.jit(lambda a: a + 1)
    return rates, 2 * y.nbytes / seconds_of(lambda: copy(y), 10)


def measure(arguments: argparse.Namespace, batch_size: int, dtype: str) -> dict[str, float]:
    """Time, FLOPs and bytes of a step."""
    config = load_recipe(arguments.recipe)
    config.train.batch_size, config.train.segment_seconds = batch_size, arguments.seconds
    config.train.compute_dtype = dtype
    config.discriminator.update_probability = 1.0
    config.validate()
    adversarial = config.loss.adversarial > 0
    step = jax.jit(
        make_step(config, Phase(quantize=True, spectral=True, adversarial=adversarial), None), donate_argnums=0
    )
    shape = (batch_size, config.segment_samples, config.model.audio_channels)
    batch = {"audio": jnp.asarray(0.1 * np.random.default_rng(0).standard_normal(shape, np.float32))}
    state = [st.init_state(config)]
    traced = step.trace(state[0], batch)
    lowered = traced.lower()
    start = time.perf_counter()
    compiled = lowered.compile()
    compiling = time.perf_counter() - start

    def run() -> dict:
        state[0], metrics = compiled(state[0], batch)
        return metrics

    took = seconds_of(run, arguments.steps)
    if arguments.profile:
        with jax.profiler.trace(str(arguments.profile)):
            jax.block_until_ready([run() for _ in range(3)])
    analysis = compiled.memory_analysis()
    memory = analysis.temp_size_in_bytes if analysis else 0
    flops = product_flops(traced.jaxpr, loops=True)
    accessed = (compiled.cost_analysis() or {}).get("bytes accessed", 0.0)
    return {"seconds": took, "flops": flops, "bytes": accessed, "compiling": compiling, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "configs" / "encodec_24khz.py")
    parser.add_argument("--batch", type=int, nargs="*", default=[8, 64])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--dtype", nargs="*", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--lowering", nargs="*", default=[conv.default_lowering()], choices=["native", "matmul"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--side", type=int, default=SIDE, help="size of the matrices of the ceiling")
    parser.add_argument("--copied", type=int, default=COPIED, help="values of the copy of the other ceiling")
    parser.add_argument("--profile", type=Path)
    arguments = parser.parse_args()
    rates, bandwidth = ceilings(arguments.dtype, arguments.side, arguments.copied)
    products = ", ".join(f"{dtype} products {rate / 1e12:.3g} TFLOP/s" for dtype, rate in rates.items())
    print(f"{jax.devices()[0].device_kind}: {products}, copies {bandwidth / 1e9:.4g} GB/s")
    print(f"XLA_FLAGS: {os.environ.get('XLA_FLAGS', '')}\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for lowering in arguments.lowering:
        conv.default_lowering = lambda chosen=lowering: chosen
        for dtype in arguments.dtype:
            for batch_size in arguments.batch:
                r = measure(arguments, batch_size, dtype)
                jax.clear_caches()
                cells = (
                    batch_size,
                    dtype,
                    lowering,
                    f"{r['compiling']:.0f}",
                    f"{r['memory'] / 1e9:.1f}",
                    f"{1000 * r['seconds']:.1f}",
                    f"{batch_size * arguments.seconds / r['seconds']:.0f}",
                    f"{r['flops'] / 1e12:.2f}",
                    f"{r['flops'] / r['seconds'] / rates[dtype]:.1%}",
                    f"{r['bytes'] / 1e9:.1f}",
                    f"{r['bytes'] / r['seconds'] / bandwidth:.1%}",
                )
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
