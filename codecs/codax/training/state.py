"""The state of a training run as one tree."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from codax.codec.module import CodecModel
from codax.config import Config
from codax.discriminators.ensemble import Discriminators, members_of
from codax.losses import terms
from codax.losses.balancer import BalancerState, init_balancer
from codax.training.frozen import divide
from codax.training.optimizers import make_optimizers
from codax.training.randomness import Purpose, make_key


@flax.struct.dataclass
class TrainState:
    """All arrays of a checkpoint."""

    step: jax.Array  # int32, finished steps
    generator: Any  # parameters of encoder, decoder and modulation
    discriminator: Any  # with discriminator.per_kbps, its arrays and its optimiser's are [rates, ...]
    codebook: Any  # codebook collection of the generator
    average: Any  # EMA of `generator`
    generator_optimizer: Any
    discriminator_optimizer: Any
    balancer: BalancerState | None  # None without a balancer
    bad_steps: jax.Array  # int32, consecutive non-finite steps
    bad_total: jax.Array  # int32, all non-finite steps


class Stacks(NamedTuple):
    """Parameters of discriminators by name, and their optimiser state; with `discriminator.drawn`, a state by name."""

    params: Any
    optimizer: Any


def take_group(stacks: Stacks, group: tuple[str, ...]) -> Stacks:
    """Returns the discriminators of a group: all of them, or a drawn one."""
    (name, *_), params = group, {name: stacks.params[name] for name in group}
    return Stacks(params, stacks.optimizer[name] if _is_by_name(stacks) else stacks.optimizer)


def put_group(stacks: Stacks, new: Stacks, group: tuple[str, ...]) -> Stacks:
    """Replaces the discriminators of a group."""
    optimizer = stacks.optimizer | {group[0]: new.optimizer} if _is_by_name(stacks) else new.optimizer
    return Stacks(stacks.params | new.params, optimizer)


def _is_by_name(stacks: Stacks) -> bool:
    return isinstance(stacks.optimizer, dict)


def has_adversary(config: Config) -> bool:
    """Whether the recipe trains discriminators."""
    active = any(terms.TERMS[name].on_discriminators for name in terms.weights_of(config.loss))
    return active and bool(members_of(config.discriminator))


def balanced_losses(config: Config) -> tuple[str, ...]:
    """Returns the names of the losses that a balancer weights: those on the reconstruction."""
    return tuple(name for name in terms.weights_of(config.loss) if terms.TERMS[name].on_reconstruction)


def take_rate(stack: Any, rate: jax.Array | None) -> Any:
    """Returns one rate's tree from a stack with arrays [rates, ...]; with None, returns the stack unchanged."""
    if rate is None:
        return stack
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, rate, keepdims=False), stack)


def set_rate(stack: Any, tree: Any, rate: jax.Array | None) -> Any:
    """Replaces one rate's tree in a stack; with None, returns the tree."""
    if rate is None:
        return tree
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, rate, 0), stack, tree)


def update_ema(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """Updates the EMA at step number `step`; its decay is smaller at first, to forget the random start."""
    count = step.astype(jnp.float32)
    return optax.incremental_update(params, average, 1 - jnp.minimum(decay, (1 + count) / (10 + count)))


def init_state(config: Config) -> TrainState:
    """Returns a fresh state; codebooks are zeros until they are initialised from data."""
    generator_key, discriminator_key = jax.random.split(make_key(config.seed, Purpose.INIT, 0))
    # A short signal suffices, as no parameter depends on its length.
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
        average=jax.tree.map(jnp.copy, generator),  # a copy, since no buffer can be donated twice
        generator_optimizer=generator_optimizer.init(divide(config, generator)[0]),
        discriminator_optimizer=discriminator_state,
        balancer=init_balancer(balanced_losses(config)) if config.loss.balancer else None,
        bad_steps=jnp.zeros((), jnp.int32),
        bad_total=jnp.zeros((), jnp.int32),
    )


def init_discriminators(config: Config, key: jax.Array, optimizer: optax.GradientTransformation) -> tuple[Any, Any]:
    """Returns the discriminators' parameters and optimiser state; with `per_kbps`, stacked over rates."""
    if not has_adversary(config):
        return {}, optimizer.init({})
    d = config.discriminator
    # The logits of the STFT discriminator need a few frames.
    audio = jnp.zeros((1, max(config.segment_samples, 2 * d.longest_window), config.model.audio_channels))

    def init(key: jax.Array) -> Any:
        return Discriminators(d).init(key, audio)["params"]

    over_rates = jax.vmap if d.per_kbps else lambda function: function
    params = over_rates(init)(jax.random.split(key, len(config.quantizer.kbps)) if d.per_kbps else key)
    start = over_rates(optimizer.init)
    return params, {name: start({name: params[name]}) for name in params} if d.drawn else start(params)


def parameter_count(tree: Any) -> int:
    """Returns the number of elements in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))
