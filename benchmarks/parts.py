"""Profile of EnCodec on this machine: its parts separately, at full size, in blocks as for a long signal.

    python benchmarks/parts.py [--frames 64] [--runs 20]

Prints the median time of each part: for coding in milliseconds per 10 s of audio, for a training step (8 x 1 s) in
seconds. The parts sum to less than the whole, which also copies the contexts of its layers.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from codax.codec.codec import Codec
from codax.codec.module import CodecModel
from codax.config.recipe_files import load_recipe
from codax.discriminators.ensemble import Discriminators
from codax.losses import adversarial
from codax.nets import conv2d, seanet
from codax.nets.lstm import SkipLSTM
from codax.quantizers import rvq
from codax.runtime.program import program
from codax.training.adversary import split_outputs

RECIPE = Path(__file__).parents[1] / "configs" / "encodec_24khz.py"


def seconds(function: Callable[..., Any], *arrays: Any, runs: int) -> float:
    """Median time of a compiled function."""
    compiled = jax.jit(function).lower(*arrays).compile()
    jax.block_until_ready(compiled(*arrays))
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arrays))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def noise(*shape: int) -> jax.Array:
    return jnp.asarray(0.1 * np.random.default_rng(0).standard_normal(shape), jnp.float32)


def coding(codec: Codec, frames: int, runs: int) -> None:
    """Parts of encoding and decoding one signal with 8 quantizers."""
    config, params = codec.config, codec.engine.folded["params"]
    model = dataclasses.replace(config.model, seanet=dataclasses.replace(config.model.seanet, pad_mode="zeros"))
    without = dataclasses.replace(model, seanet=dataclasses.replace(model.seanet, lstm_layers=0))
    books = codec.engine.folded["codebook"]["quantizer"]["embedding"][:8]
    wide = config.model.channels * 2 ** len(config.model.strides)
    encoder, decoder, lstm = seanet.Encoder(without), seanet.Decoder(without), SkipLSTM(model.seanet.lstm_layers)
    parts = {
        "encoder, convolutions": (encoder.apply, {"params": params["encoder"]}, noise(1, frames * config.hop, 1)),
        "encoder, LSTM": (lstm.apply, {"params": params["encoder"]["lstm"]}, noise(1, frames, wide)),
        "search of 8 codebooks": (rvq.encode, noise(frames, config.model.dimension), books),
        "decoder, convolutions": (decoder.apply, {"params": params["decoder"]}, noise(1, frames, model.dimension)),
    }
    blocks = 10 * config.frame_rate / frames
    for name, (function, *arrays) in parts.items():
        print(f"{name}: {1000 * blocks * seconds(function, *arrays, runs=runs):.0f} ms")


def training(codec: Codec, runs: int) -> None:
    """Parts of a training step on 8 s of audio."""
    config, audio = codec.config, noise(8, codec.config.model.sample_rate, 1)
    judges = Discriminators(config.discriminator)
    params = judges.init(jax.random.key(0), audio)

    def discriminate(params: Any, audio: jax.Array) -> Any:
        return judges.apply(params, audio)

    def judged(params, real, fake):
        outputs = split_outputs(discriminate(params, jnp.concatenate([real, fake])))
        return adversarial.discriminator(*outputs, "hinge", False)

    def features(fake, real):
        targets, outputs = (discriminate(params, x) for x in (real, fake))
        return adversarial.generator(outputs) + adversarial.feature_l1(
            jax.lax.stop_gradient(targets), outputs, "relative"
        )

    def generated(generator):
        out = CodecModel(config).apply(
            {"params": generator, "codebook": codec.codebook},
            audio,
            levels=jnp.full(8, config.quantizer.num_quantizers),
            key=jax.random.key(0),
        )
        return out.audio.sum() + out.commitment

    parts = {
        "discriminators, forward": (discriminate, params, audio),
        "discriminators' own gradient": (jax.grad(judged), params, audio, audio),
        "gradient through the discriminators": (jax.grad(features), audio, audio),
        "generator's gradient": (jax.grad(generated), codec.params),
    }
    for name, (function, *arrays) in parts.items():
        print(f"{name}: {seconds(function, *arrays, runs=runs):.2f} s")


def convolutions(runs: int) -> None:
    """The strided convolution of a discriminator: GFLOP/s of XLA's gradients and of codax's."""
    x, kernel = noise(8, 43, 1025, 32), noise(3, 8, 32, 32)
    options = ((1, 2), ((1, 1), (3, 3)), (1, 1))
    native = lambda x, kernel: conv2d._native(x, kernel, *options)  # noqa: E731
    grad_out = native(x, kernel)
    billions = 2 * grad_out.size * kernel.size / kernel.shape[3] / 1e9
    parts = {
        "forward": (native, x, kernel),
        "input, XLA": (lambda x, s: jax.vjp(lambda x: native(x, kernel), x)[1](s), x, grad_out),
        "input, ours": (lambda s: conv2d.input_gradient(s, kernel, x.shape, *options), grad_out),
        "kernel, XLA": (lambda k, s: jax.vjp(lambda k: native(x, k), k)[1](s), kernel, grad_out),
        "kernel, ours": (lambda x, s: conv2d.kernel_gradient(s, x, kernel.shape, *options), x, grad_out),
    }
    for name, (function, *arrays) in parts.items():
        print(f"2-D convolution, {name}: {billions / seconds(function, *arrays, runs=runs):.0f} GFLOP/s")
    square = noise(2048, 2048)
    print(f"matrix product: {2 * 2048**3 / 1e9 / seconds(jnp.matmul, square, square, runs=runs):.0f} GFLOP/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    codec = Codec.init_random(load_recipe(RECIPE))
    coding(codec, args.frames, args.runs)
    convolutions(args.runs)
    training(codec, max(3, args.runs // 5))


if __name__ == "__main__":
    with program():
        main()
