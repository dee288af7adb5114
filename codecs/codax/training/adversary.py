"""The discriminators' part of a training step, one discriminator at a time.

Losses, features and gradients of the discriminators are means over them (sums with `loss.sum_discriminators`), so that
each discriminator contributes on its own: to its own gradient, and to the reconstruction's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from codax.codec.microbatches import mean_and_joined, mean_value_and_grad
from codax.config import Config
from codax.losses import adversarial, terms
from codax.training.gradients import Gradients, Losses, gradients_of
from codax.training.networks import Networks
from codax.training.parallel import DONATED, LOCAL, SHARED, mean_over
from codax.training.randomness import Purpose, draw_crops, draw_rate, make_key
from codax.training.stages import Stages
from codax.training.state import Stacks, put_group, set_rate, take_group, take_rate

Signals = tuple[jax.Array, jax.Array]  # original and reconstruction, [batch, samples, channels]
Contribution = tuple[Losses, Gradients]  # the generator's terms and their gradients to the reconstruction


class Trained(NamedTuple):
    """The discriminators after their part of a step."""

    stacks: Stacks
    groups: list[tuple[str, ...]]  # the updated discriminators, by optimiser state
    losses: dict[str, jax.Array]  # by name of the discriminator
    norms: list[jax.Array]  # of each group's gradient
    contributions: list[Contribution]  # of each discriminator


def train_discriminator(
    nets: Networks, name: str, stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[tuple[jax.Array, Any], None]:
    """Returns one discriminator's loss and its gradient to the parameters.

    Args:
      stack: its parameters; with `discriminator.per_kbps`, those of every rate.
    """
    target, estimate, _ = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def loss_of(params: Any, target: jax.Array, estimate: jax.Array) -> jax.Array:
        both = _outputs(nets, name, params, jnp.concatenate([target, estimate]))
        return _own_loss(nets.config, *split_outputs(both))

    value_and_grad = mean_value_and_grad(loss_of, nets.config.memory.accumulate)
    return mean_over(value_and_grad(params, target, estimate), axis), None


def through_discriminator(
    nets: Networks, name: str, stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[None, Contribution]:
    """Returns the generator's terms on one discriminator, and their gradients to the reconstruction."""
    target, estimate, whole = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def contribution(target: jax.Array, estimate: jax.Array) -> Contribution:
        real = _outputs(nets, name, params, target)
        fake, pull = jax.vjp(lambda x: _outputs(nets, name, params, x), estimate)
        return _generator_terms(nets.config, step, (target, estimate), real, fake, lambda g: pull(g)[0])

    losses, gradients = mean_and_joined(contribution, nets.config.memory.accumulate)(target, estimate)
    return None, (losses, jax.tree.map(whole, gradients))


def shared_pass(
    nets: Networks, name: str, stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[tuple[jax.Array, Any], Contribution]:
    """Returns the results of `train_discriminator` and `through_discriminator`, from one forward pass of each signal.

    Both are computed with the parameters before the update.
    """
    target, estimate, whole = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def both(target: jax.Array, estimate: jax.Array) -> tuple[Any, Gradients]:
        real, pull_real = jax.vjp(lambda p: _outputs(nets, name, p, target), params)
        fake, pull_fake = jax.vjp(lambda p, x: _outputs(nets, name, p, x), params, estimate)
        own = jax.value_and_grad(lambda outputs: _own_loss(nets.config, *outputs))
        loss, (to_real, to_fake) = own((real, fake))
        gradient = jax.tree.map(jnp.add, pull_real(to_real)[0], pull_fake(to_fake)[0])
        losses, gradients = _generator_terms(
            nets.config, step, (target, estimate), real, fake, lambda g: pull_fake(g)[1]
        )
        return (loss, gradient, losses), gradients

    (loss, gradient, losses), gradients = mean_and_joined(both, nets.config.memory.accumulate)(target, estimate)
    return mean_over((loss, gradient), axis), (losses, jax.tree.map(whole, gradients))


def update_discriminators(
    nets: Networks, count: int, stacks: Stacks, gradients: Any, step: jax.Array, *, axis: str | None
) -> tuple[tuple[Stacks, jax.Array], None]:
    """Updates discriminators that share an optimiser state.

    Args:
      count: number of discriminators in the step, over which their losses are averaged.
      stacks: parameters and optimiser state; with `discriminator.per_kbps`, of every rate.
      gradients: of each one's own loss to the parameters of this step's rate.

    Returns:
      The new stacks, and the norm of the gradients.
    """
    config, rate = nets.config, rate_of(nets.config, step)
    before = take_rate(stacks, rate)
    if not config.loss.sum_discriminators:
        gradients = jax.tree.map(lambda x: x / count, gradients)
    updates, optimizer_state = nets.discriminator_optimizer.update(gradients, before.optimizer, before.params)
    after = Stacks(optax.apply_updates(before.params, updates), optimizer_state)
    if (chance := config.discriminator.update_probability) < 1:
        keep = jax.random.uniform(make_key(config.seed, Purpose.DISCRIMINATOR, step)) < chance
        after = jax.tree.map(lambda a, b: jnp.where(keep, a, b), after, before)
    return (set_rate(stacks, after, rate), optax.tree.norm(gradients)), None


def train(run: Stages, before: Stacks, step: jax.Array, signals: Signals, drawn: tuple[str, ...]) -> Trained:
    """Trains discriminators, and computes their contributions to the generator's losses and gradient.

    Args:
      run: runs the stages above.
      drawn: names of the discriminators that the step uses; () = all.
    """
    names, config = drawn or tuple(before.params), run.nets.config
    first = shared_pass if config.discriminator.shared_forward else train_discriminator
    kinds = (SHARED, SHARED, LOCAL)
    results = {name: run(first, kinds, name)(before.params[name], step, signals) for name in names}
    groups = [(name,) for name in names] if config.discriminator.drawn else [names]
    after, norms = before, []
    for group in groups:
        gradients = {name: results[name][0][1] for name in group}
        update = run(update_discriminators, (SHARED, SHARED, SHARED), len(names))
        (stacks, norm), _ = update(take_group(before, group), gradients, step)
        after = put_group(after, stacks, group)
        norms.append(norm)
    losses = {name: results[name][0][0] for name in names}
    if not config.discriminator.shared_forward:
        results = {n: run(through_discriminator, kinds, n)(after.params[n], step, signals) for n in names}
    return Trained(after, groups, losses, norms, [results[name][1] for name in names])


def kept(run: Stages, bad_steps: jax.Array, before: Stacks, trained: Trained) -> Stacks:
    """Returns the discriminators after the step: as trained, or as before if the step was not finite."""
    stacks = before
    for group in trained.groups:
        choose = run(choose_finite, (SHARED, DONATED, SHARED))
        chosen, _ = choose(bad_steps, take_group(trained.stacks, group), take_group(before, group))
        stacks = put_group(stacks, chosen, group)
    return stacks


def choose_finite(nets: Networks, bad_steps: jax.Array, new: Any, old: Any, *, axis: str | None) -> tuple[Any, None]:
    """Returns `new`, or `old` after a step that was not finite."""
    return jax.tree.map(lambda a, b: jnp.where(bad_steps == 0, a, b), new, old), None


def rate_of(config: Config, step: jax.Array) -> jax.Array | None:
    """Returns the rate whose discriminators a step trains; None if one set serves all rates."""
    return draw_rate(config, step) if config.discriminator.per_kbps else None


def joined(parts: Sequence[Any], *, add: bool) -> Any:
    """Returns the mean of trees, one for each discriminator; with `add`, their sum."""
    total = jax.tree.map(lambda *values: sum(values[1:], values[0]), *parts)
    return total if add else jax.tree.map(lambda x: x / len(parts), total)


def split_outputs(both: adversarial.Outputs) -> tuple[adversarial.Outputs, adversarial.Outputs]:
    """Splits discriminator outputs for a batch of real and then fake audio into the two halves."""
    half = both[0][0].shape[0] // 2
    real = [(logits[:half], [f[:half] for f in features]) for logits, features in both]
    fake = [(logits[half:], [f[half:] for f in features]) for logits, features in both]
    return real, fake


def _outputs(nets: Networks, name: str, params: Any, audio: jax.Array) -> Any:
    return nets.discriminators.clone(only=name).apply({"params": {name: params}}, audio)


def _own_loss(config: Config, real: adversarial.Outputs, fake: adversarial.Outputs) -> jax.Array:
    return adversarial.discriminator(real, fake, config.loss.adversarial_form, config.loss.sum_discriminators)


def _generator_terms(
    config: Config, step: jax.Array, signals: Signals, real: Any, fake: Any, pull: Callable[[Any], jax.Array]
) -> Contribution:
    """Computes the terms on one discriminator's outputs; `pull` maps a gradient of "fake" to one of the estimate."""
    weights = terms.weights_of(config.loss)
    chosen = [term for name in weights if (term := terms.TERMS[name]).on_discriminators]
    fixed = {"target": signals[0], "key": make_key(config.seed, Purpose.LOSSES, step)}
    fixed["real"] = jax.lax.stop_gradient(real)

    def compute(inputs: tuple[Any, jax.Array]) -> Losses:
        known = fixed | {"fake": inputs[0], "estimate": inputs[1]}
        return {term.name: term(config, known) for term in chosen}

    losses, gradients = gradients_of([compute], weights, apart=config.loss.balancer)((fake, signals[1]))
    return losses, {name: pull(to_fake) + to_estimate for name, (to_fake, to_estimate) in gradients.items()}


def _excerpts(
    config: Config, step: jax.Array, signals: Signals, axis: str | None
) -> tuple[jax.Array, jax.Array, Callable[[jax.Array], jax.Array]]:
    """Returns the parts of both signals that the discriminators process, and the map of gradients to whole signals."""
    target, estimate = signals
    starts, length = draw_crops(config, step, target.shape, axis)
    if starts is None:
        return target, estimate, lambda gradient: gradient

    def cut(audio: jax.Array) -> jax.Array:
        return jax.vmap(lambda x, start: jax.lax.dynamic_slice_in_dim(x, start, length))(audio, starts)

    part, pull = jax.vjp(cut, estimate)
    return cut(target), part, lambda gradient: pull(gradient)[0]
