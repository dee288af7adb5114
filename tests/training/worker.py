"""Recipes whose steps are compared, and programs that tests start as processes: `python worker.py NAME ARGUMENT...`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
from codax.config import Config
from codax.training import loop, parallel, processes, stopping
from codax.training.programs import Programs
from codax.training.state import TrainState, init_state
from codax.training.step import make_codebook_init, make_step, phase_at
from tiny_run import WHOLE_STEP, tiny_config, voices

sys.path.append(str(Path(__file__).parents[1]))  # when run as a program of its own
from quantizer_options import with_option

STEPS = 3
EXAMPLES = 16


def flat(tree: object) -> dict[str, np.ndarray]:
    """A tree as named arrays."""
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def step_config() -> Config:
    """Every part of a step at work: quantizer dropout, adversary, random windows, a threshold that kills entries.

    Rounding may turn the sign of a number near zero, and with it one element's part of a gradient: of a difference, in
    a mean absolute difference, or of what a leaky ReLU of the discriminators is given, whose slope is 1 or 0.2. The
    weights of the losses behind them are small enough for one such element to lie within the tolerance.
    """
    return tiny_config(
        **WHOLE_STEP,
        quantizer__dead_threshold=100.003,  # no count of whole frames is close to it
        loss__waveform=0.01,
        loss__feature=0.1,
        loss__adversarial=0.05,
        loss__windows=(64, 128),
        loss__random_windows=1,
        train__batch_size=EXAMPLES,
    )


def per_rate_config() -> Config:
    """Discriminators for each rate, and a decoder at the frame rate; the first three steps draw both rates."""
    config = step_config()
    frames = config.model.frame_decoder
    frames.layers, frames.channels, frames.hidden, config.model.noise_channels = 1, 8, 16, 2
    config.quantizer.dropout_kbps = config.discriminator.per_kbps = True
    config.discriminator.update_probability = 2 / 3
    return config.validate()


def mimi_config() -> Config:
    """Mimi's network, split quantizer with examples that skip it, and decay of the Transformers' weights alone."""
    config = step_config()
    model = config.model = config.model.of_class("mimi")
    quantizer = config.quantizer
    model.resample_stride, model.seanet.last_kernel_size = 2, 7
    model.transformer.layers, model.transformer.heads, model.transformer.hidden = 1, 2, 12
    model.transformer.context, model.transformer.layer_scale = 4, 0.5
    quantizer.semantic, quantizer.projection, quantizer.unquantized = 1, 4, 0.5
    quantizer.smoothing, quantizer.dead_ratio, quantizer.dead_every = False, 0.9503, 2
    quantizer.kmeans_alternate, quantizer.kbps = True, ()
    config.optimizer.weight_decay, config.optimizer.decay_transformers_only = 0.1, True
    return config.validate()


def dac_config() -> Config:
    """DAC's network, quantizer that is learned by gradient, and discriminators."""
    config = step_config()
    config.name = "dac_tiny"
    model, discriminator = config.model.of_class("dac"), config.discriminator
    quantizer = config.quantizer.of_class("factorised")
    config.model, config.quantizer = model, quantizer
    model.causal, model.weight_norm, model.strides = False, True, (2, 3)
    quantizer.projection, quantizer.dropout_share, quantizer.kbps = 3, 0.5, ()
    discriminator.wave_scales = 0
    discriminator.bands_windows, discriminator.bands_channels = (64,), 2
    discriminator.periods, discriminator.hifigan_max_channels, discriminator.hifigan_logits = (3,), 4, False
    discriminator.normalize = True
    loss, optimizer = config.loss, config.optimizer
    loss.waveform, loss.spectral, loss.random_windows = 0.0, 0.1, 0
    loss.windows, loss.window_mels, loss.spectral_form = (64, 128), (5, 10), "dac"
    loss.adversarial_form, loss.sum_discriminators = "least_squares", True
    # One of 77,000 inputs of the band discriminator's first leaky ReLU is -2e-8 on one device and 5e-8 on eight, where
    # its layer's standard deviation is 1: at 20 times these weights it alone moves a gradient by 20 tolerances.
    loss.adversarial, loss.feature = 0.0025, 0.005
    loss.commitment, loss.codebook = 0.25, 1.0
    optimizer.weight_decay, optimizer.schedule, optimizer.gamma = 0.01, "exponential", 0.99
    optimizer.clip_norm, optimizer.discriminator_clip_norm = 1e3, 10.0
    return config.validate()


def option_config(option: str) -> Config:
    """A step without adversary, whose part the other recipes have, with an option of the quantizer."""
    config = step_config()
    config.quantizer.kbps, config.loss.adversarial, config.loss.feature = (), 0.0, 0.0
    return with_option(config, option)


def excerpt_config() -> Config:
    """Two discriminators, of random parts of the signals, with one forward pass."""
    config = step_config()
    discriminator = config.discriminator
    discriminator.wave_scales, discriminator.shared_forward, discriminator.crop_seconds = 2, True, 0.05
    return config.validate()


def piecewise_steps(config: Config, mapped: parallel.Parallel) -> dict[str, np.ndarray]:
    """The results of `run_steps` with a program for each stage."""
    config.train.programs = "pieces"
    return mapped_steps(config, mapped, compile_step=Programs(config, mapped).step)


def run_steps(
    config: Config, compile_, place, state: TrainState, axis: str | None, compile_step=None
) -> dict[str, np.ndarray]:
    """K-means and a few steps on batches made up here; the final state and the metrics of every step."""
    batches = [{"audio": voices(EXAMPLES, config.segment_samples, seed)} for seed in range(STEPS)]
    state, _ = compile_(make_codebook_init(config, axis))(state, place(batches[0]))
    phase = phase_at(config, 0)
    step = compile_step(phase) if compile_step else compile_(make_step(config, phase, axis))
    results = {}
    for i, batch in enumerate(batches):
        state, metrics = step(state, place(batch))
        results |= {f"step{i}{name}": value for name, value in flat(metrics).items()}
    return results | {f"state{name}": value for name, value in flat(state).items()}


def mapped_steps(
    config: Config, mapped: parallel.Parallel, initial: TrainState | None = None, compile_step=None
) -> dict[str, np.ndarray]:
    """`run_steps` on several devices, of this process or of several; from `initial`, or a state made on all of them."""
    local = EXAMPLES // jax.process_count()
    first = jax.process_index() * local

    def place(batch):
        return mapped.place({name: x[first : first + local] for name, x in batch.items()})

    if initial is None:
        initial = mapped.initialise(lambda: init_state(config))
    else:
        initial = jax.device_put(initial, mapped.state_sharding)
    return run_steps(config, mapped.compile, place, initial, mapped.axis, compile_step)


def plain_steps(config: Config, initial: TrainState | None = None) -> dict[str, np.ndarray]:
    """`run_steps` on one device, without mapping."""
    if initial is None:
        initial = jax.jit(lambda: init_state(config))()
    return run_steps(config, jax.jit, lambda batch: batch, initial, None)


def steps(out: str, kind: str) -> None:
    """Runs the steps of `step_config` as one of several processes, and saves the results."""
    processes.initialize_distributed()
    mapped = parallel.Parallel(kind)
    assert mapped.devices == 8 and mapped.local_batch(EXAMPLES) == EXAMPLES // jax.process_count() == EXAMPLES // 2
    results = mapped_steps(step_config(), mapped)
    if jax.process_index() == 0:
        np.savez(out, **results)


def train(recipe: str, workdir: str, stop_at: str, signal_name: str) -> None:
    """Trains, and sends itself a signal while step number `stop_at` runs."""
    config = Config.load(recipe)
    original = loop.phase_at

    def phase_at(config, step):
        if step == int(stop_at):
            os.kill(os.getpid(), getattr(signal, signal_name))
        return original(config, step)

    loop.phase_at = phase_at
    loop.train(config, workdir)


def hang(recipe: str, workdir: str, at: str, grace: str) -> None:
    """Trains until step number `at`, which never ends, and sends itself SIGTERM while it runs."""
    stopping.GRACE_SECONDS = float(grace)
    original = loop.phase_at

    def wait(x):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
        return x

    def phase_at(config, step):
        if step == int(at):
            one = jax.ShapeDtypeStruct((), np.float32)
            # As a deadlock does, this holds the main thread in compiled code.
            jax.jit(lambda x: jax.pure_callback(wait, one, x))(np.float32(0)).block_until_ready()
        return original(config, step)

    loop.phase_at = phase_at
    loop.train(Config.load(recipe), workdir)


if __name__ == "__main__":
    {"steps": steps, "train": train, "hang": hang}[sys.argv[1]](*sys.argv[2:])
