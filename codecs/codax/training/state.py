"""The whole state of a training run, as one tree."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from codax.codec.module import CodecModel
from codax.config import Config
from codax.discriminators.ensemble import Discriminators, members_of
from codax.losses import terms
from codax.losses.balancer import BalancerState, init_balancer
from codax.training.optimizers import make_optimizers
from codax.training.randomness import Purpose, make_key


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


def has_adversary(config: Config) -> bool:
    """Does this recipe train discriminators?"""
    active = any(terms.TERMS[name].on_discriminators for name in terms.weights_of(config.loss))
    return active and bool(members_of(config.discriminator))


def balanced_losses(config: Config) -> tuple[str, ...]:
    """Names of the losses that a balancer weighs: those on the reconstruction."""
    return tuple(name for name in terms.weights_of(config.loss) if terms.TERMS[name].on_reconstruction)


def take_rate(stack: Any, rate: jax.Array | None) -> Any:
    """One rate's tree of a stack of trees, whose arrays are [rates, ...]; with None, the stack is that tree itself."""
    if rate is None:
        return stack
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, rate, keepdims=False), stack)


def set_rate(stack: Any, tree: Any, rate: jax.Array | None) -> Any:
    """The stack with another tree for one rate; with None, that tree itself."""
    if rate is None:
        return tree
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, rate, 0), stack, tree)


def update_ema(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """The moving average after step number `step`; close at first, else it would hold the random start for long."""
    count = step.astype(jnp.float32)
    return optax.incremental_update(params, average, 1 - jnp.minimum(decay, (1 + count) / (10 + count)))


def init_state(config: Config) -> TrainState:
    """A fresh state; codebooks are zeros until they are initialised from data."""
    generator_key, discriminator_key = jax.random.split(make_key(config.seed, Purpose.INIT, 0))
    # A short signal is enough: no parameter depends on the length.
    audio = jnp.zeros((1, 4 * config.hop, config.model.audio_channels))
    variables = CodecModel(config).init(
        generator_key, audio, levels=jnp.ones(1, jnp.int32), key=generator_key, update=False
    )
    generator, codebook = variables["params"], variables["codebook"]
    generator_optimizer, discriminator_optimizer = make_optimizers(config)
    discriminator, discriminator_state = init_discriminators(config, discriminator_key, discriminator_optimizer)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        codebook=codebook,
        average=jax.tree.map(jnp.copy, generator),  # a copy: two references to one buffer cannot both be donated
        generator_optimizer=generator_optimizer.init(generator),
        discriminator_optimizer=discriminator_state,
        balancer=init_balancer(balanced_losses(config)) if config.loss.balancer else None,
        bad_steps=jnp.zeros((), jnp.int32),
        bad_total=jnp.zeros((), jnp.int32),
    )


def init_discriminators(config: Config, key: jax.Array, optimizer: optax.GradientTransformation) -> tuple[Any, Any]:
    """Parameters of the discriminators and the state of their optimizer: of each rate with `per_kbps`."""
    if not has_adversary(config):
        return {}, optimizer.init({})
    d = config.discriminator
    windows = (d.stft_window, *d.msstft_windows, *d.bands_windows)
    # The logits of the STFT discriminator need a few frames.
    audio = jnp.zeros((1, max(config.segment_samples, 2 * max(windows)), config.model.audio_channels))

    def init(key: jax.Array) -> Any:
        return Discriminators(d).init(key, audio)["params"]

    if not d.per_kbps:
        params = init(key)
        return params, optimizer.init(params)
    params = jax.vmap(init)(jax.random.split(key, len(config.quantizer.kbps)))
    return params, jax.vmap(optimizer.init)(params)


def parameter_count(tree: Any) -> int:
    """Number of numbers in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))
