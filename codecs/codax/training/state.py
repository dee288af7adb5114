"""The whole state of a training run, as one tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from optax import contrib

from codax.codec.module import CodecModel
from codax.config import Config, OptimizerConfig
from codax.discriminators.ensemble import Discriminators
from codax.losses.balancer import BalancerState, init_balancer

# Purposes of randomness. Every key is fold_in(fold_in(key(seed), purpose), step).
KEY_INIT, KEY_LEVELS, KEY_REVIVE, KEY_KMEANS, KEY_WINDOWS, KEY_CONDITION, KEY_JUDGE, KEY_OFFSET, KEY_BYPASS = range(9)
BALANCED = ("waveform", "spectral", "adversarial", "feature")  # losses that a balancer weighs


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint must hold besides the data iterator."""

    step: jax.Array  # int32, finished steps
    generator: Any  # parameters of encoder, decoder and modulation
    discriminator: Any  # with discriminator.per_kbps every array is [rates, ...], here and in its optimiser
    codebook: Any  # codebook collection of the generator
    average: Any  # moving average of `generator`
    generator_optimizer: Any
    discriminator_optimizer: Any
    balancer: BalancerState | None  # None without a balancer
    bad_steps: jax.Array  # int32, non-finite steps in a row
    bad_total: jax.Array  # int32, non-finite steps so far


def make_key(seed: int, purpose: int, step: jax.Array | int) -> jax.Array:
    """The key of a purpose at a step; equal on every replica."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), step)


def has_adversary(config: Config) -> bool:
    """Does this recipe train discriminators?"""
    d = config.discriminator
    active = config.loss.adversarial > 0 or config.loss.feature > 0
    windows = len(d.msstft_windows) + len(d.bands_windows)
    return active and (d.stft or d.wave_scales > 0 or windows > 0 or len(d.periods) > 0 or d.scales > 0)


def select(stack: Any, index: jax.Array | None) -> Any:
    """The tree at `index` of a stack of trees, whose arrays are [n, ...]; with None, the stack is that tree itself."""
    if index is None:
        return stack
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), stack)


def put(stack: Any, tree: Any, index: jax.Array | None) -> Any:
    """The stack with another tree at `index`; with None, that tree itself."""
    if index is None:
        return tree
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, index, 0), stack, tree)


def follow(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """The moving average after step number `step`; close at first, else it would hold the random start for long."""
    count = step.astype(jnp.float32)
    return optax.incremental_update(params, average, 1 - jnp.minimum(decay, (1 + count) / (10 + count)))


def learning_rate(config: OptimizerConfig, rate: float, total_steps: int) -> optax.Schedule:
    """Linear warm-up, then constant, cosine or exponential."""
    warmup = max(config.warmup_steps, 0)
    if config.schedule == "cosine":
        decay = optax.cosine_decay_schedule(rate, max(1, total_steps - warmup), config.final_fraction)
    elif config.schedule == "exponential":
        decay = optax.exponential_decay(rate, 1, config.gamma)
    else:
        decay = optax.constant_schedule(rate)
    if warmup == 0:
        return decay
    return optax.join_schedules([optax.linear_schedule(rate / warmup, rate, warmup), decay], [warmup])


def kernel_matrices(params: Any) -> Any:
    """For Muon: kernels [width, in_channels, out_channels] as matrices (width x in_channels, out_channels), and the
    Transformers' matrices.

    None, which stands for Adam (Nesterov's, as Optax has it beside Muon), at biases and other parameters.
    """
    convolution = contrib.MuonDimensionNumbers(reduction_axis=(0, 1), output_axis=(2,))
    matrix = contrib.MuonDimensionNumbers(reduction_axis=(0,), output_axis=(1,))

    def dimensions(path: Any, p: Any) -> contrib.MuonDimensionNumbers | None:
        if in_module(path, "quantizer"):
            return None  # a stack of codebooks, or of their projections
        if p.ndim == 3:
            return convolution
        return matrix if p.ndim == 2 and in_module(path, "transformer") else None

    return jax.tree_util.tree_map_with_path(dimensions, params)


def in_module(path: Any, name: str) -> bool:
    """Is the parameter at this path of a tree one of a module of that name?"""
    return any(getattr(entry, "key", None) == name for entry in path)


def transformers_alone(params: Any) -> Any:
    """True at the parameters of Transformers."""
    return jax.tree_util.tree_map_with_path(lambda path, _: in_module(path, "transformer"), params)


def make_optimizer(config: OptimizerConfig, rate: float, total_steps: int) -> optax.GradientTransformation:
    """Adam (AdamW with a weight decay) or Muon, behind gradient clipping where it is asked for.

    Muon (Jordan et al., 2024) makes the momentum of each kernel orthogonal; its updates are scaled to the RMS of Adam's
    (arXiv 2502.16982), so that one learning rate serves both. With `decay_transformers_only` only what Muon moves there
    decays.
    """
    schedule = learning_rate(config, rate, total_steps)
    mask = transformers_alone if config.decay_transformers_only else None
    if config.kind == "muon":
        optimizer = contrib.muon(
            schedule,
            weight_decay=config.weight_decay,
            adam_b1=config.beta1,
            adam_b2=config.beta2,
            adam_weight_decay=0.0 if config.decay_transformers_only else config.weight_decay,
            consistent_rms=0.2,
            muon_weight_dimension_numbers=kernel_matrices,
            weight_decay_mask=mask,
        )
    else:
        optimizer = optax.adamw(schedule, config.beta1, config.beta2, weight_decay=config.weight_decay, mask=mask)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer) if config.clip_norm > 0 else optimizer


def make_optimizers(config: Config) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Optimisers of the generator and of the discriminators; the latter counts its own updates from its start.

    With `discriminator.per_kbps` each rate's discriminators have a state of their own, which counts their updates; a
    schedule spans the share of the steps that one rate is expected to get.
    """
    d = config.discriminator
    rates = len(config.quantizer.kbps) if d.per_kbps else 1
    d_steps = max(1, (config.train.steps - d.start_step) // (d.every * rates))
    clip_norm = config.optimizer.discriminator_clip_norm or config.optimizer.clip_norm
    adam = dataclasses.replace(config.optimizer, kind="adam", clip_norm=clip_norm)
    return (
        make_optimizer(config.optimizer, config.optimizer.learning_rate, config.train.steps),
        make_optimizer(adam, config.optimizer.discriminator_learning_rate, d_steps),
    )


def init_state(config: Config) -> TrainState:
    """A fresh state; codebooks are zeros until they are initialised from data."""
    key = make_key(config.seed, KEY_INIT, 0)
    generator_key, discriminator_key = jax.random.split(key)
    # A short signal is enough: no parameter depends on the length.
    audio = jnp.zeros((1, 4 * config.hop, config.model.audio_channels))
    variables = CodecModel(config).init(
        generator_key, audio, levels=jnp.ones(1, jnp.int32), key=generator_key, update=False
    )
    generator, codebook = variables["params"], variables["codebook"]
    generator_optimizer, discriminator_optimizer = make_optimizers(config)
    discriminator, init_optimizer = {}, discriminator_optimizer.init
    if has_adversary(config):
        # The logits of the STFT discriminator need a few frames.
        d = config.discriminator
        windows = (d.stft_window, *d.msstft_windows, *d.bands_windows)
        audio = jnp.zeros((1, max(config.segment_samples, 2 * max(windows)), audio.shape[-1]))

        def init_discriminators(key: jax.Array) -> Any:
            return Discriminators(config.discriminator).init(key, audio)["params"]

        if config.discriminator.per_kbps:
            keys = jax.random.split(discriminator_key, len(config.quantizer.kbps))
            discriminator, init_optimizer = jax.vmap(init_discriminators)(keys), jax.vmap(init_optimizer)
        else:
            discriminator = init_discriminators(discriminator_key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        codebook=codebook,
        average=jax.tree.map(jnp.copy, generator),  # a copy: two references to one buffer cannot both be donated
        generator_optimizer=generator_optimizer.init(generator),
        discriminator_optimizer=init_optimizer(discriminator),
        balancer=init_balancer(BALANCED) if config.loss.balancer else None,
        bad_steps=jnp.zeros((), jnp.int32),
        bad_total=jnp.zeros((), jnp.int32),
    )


def parameter_count(tree: Any) -> int:
    """Number of numbers in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))
