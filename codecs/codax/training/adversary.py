"""The discriminators' part of a training step, one discriminator at a time, or one group that is computed together.

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
from codax.discriminators.ensemble import groups_of
from codax.losses import adversarial, terms
from codax.training.gradients import Gradients, Losses, gradients_of
from codax.training.networks import Networks
from codax.training.parallel import DONATED, LOCAL, SHARED, mean_over
from codax.training.randomness import Purpose, draw_crops, draw_rate, make_key
from codax.training.stages import Stages
from codax.training.state import Stacks, put_group, set_rate, take_group, take_rate

Signals = tuple[jax.Array, jax.Array]  # original and reconstruction, [batch, samples, channels]
# The generator's terms and their gradients to the reconstruction, summed over the discriminators of a group.
Contribution = tuple[Losses, Gradients]
Own = tuple[dict[str, jax.Array], dict[str, Any]]  # the loss of each discriminator, and its gradient to the parameters


class Trained(NamedTuple):
    """The discriminators after their part of a step."""

    stacks: Stacks
    groups: list[tuple[str, ...]]  # the updated discriminators, by optimiser state
    losses: dict[str, jax.Array]  # by name of the discriminator
    norms: list[jax.Array]  # of each group's gradient
    contributions: list[Contribution]


def train_discriminator(
    nets: Networks, names: tuple[str, ...], stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[Own, None]:
    """Returns the discriminators' losses and their gradients to the parameters.

    Args:
      names: of the discriminators.
      stack: their parameters, by name; with `discriminator.per_kbps`, those of every rate.
    """
    target, estimate, _ = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def total(params: Any, target: jax.Array, estimate: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        both = _outputs(nets, names, params, jnp.concatenate([target, estimate]))
        return _own_losses(nets.config, names, split_outputs(both))

    value_and_grad = mean_value_and_grad(total, nets.config.memory.accumulate, has_aux=True)
    (_, losses), gradients = value_and_grad(params, target, estimate)
    return mean_over((losses, gradients), axis), None


def through_discriminator(
    nets: Networks, names: tuple[str, ...], stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[None, Contribution]:
    """Returns the generator's terms on the discriminators, and their gradients to the reconstruction."""
    target, estimate, whole = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def contribution(target: jax.Array, estimate: jax.Array) -> Contribution:
        real = _outputs(nets, names, params, target)
        fake, pull = jax.vjp(lambda x: _outputs(nets, names, params, x), estimate)
        return _generator_terms(nets.config, step, (target, estimate), real, fake, lambda g: pull(g)[0])

    losses, gradients = mean_and_joined(contribution, nets.config.memory.accumulate)(target, estimate)
    return None, (losses, jax.tree.map(whole, gradients))


def shared_pass(
    nets: Networks, names: tuple[str, ...], stack: Any, step: jax.Array, signals: Signals, *, axis: str | None
) -> tuple[Own, Contribution]:
    """Returns the results of `train_discriminator` and `through_discriminator`, from one forward pass of each signal.

    Both are computed with the parameters before the update.
    """
    target, estimate, whole = _excerpts(nets.config, step, signals, axis)
    params = take_rate(stack, rate_of(nets.config, step))

    def both(target: jax.Array, estimate: jax.Array) -> tuple[Any, Gradients]:
        real, pull_real = jax.vjp(lambda p: _outputs(nets, names, p, target), params)
        fake, pull_fake = jax.vjp(lambda p, x: _outputs(nets, names, p, x), params, estimate)
        own = jax.grad(lambda outputs: _own_losses(nets.config, names, outputs), has_aux=True)
        (to_real, to_fake), each = own((real, fake))
        gradient = jax.tree.map(jnp.add, pull_real(to_real)[0], pull_fake(to_fake)[0])
        losses, gradients = _generator_terms(
            nets.config, step, (target, estimate), real, fake, lambda g: pull_fake(g)[1]
        )
        return (each, gradient, losses), gradients

    (each, gradient, losses), gradients = mean_and_joined(both, nets.config.memory.accumulate)(target, estimate)
    return mean_over((each, gradient), axis), (losses, jax.tree.map(whole, gradients))


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
    config = run.nets.config
    computed = [tuple(n for n in group if not drawn or n in drawn) for group in groups_of(config.discriminator)]
    computed = [names for names in computed if names]
    first = shared_pass if config.discriminator.shared_forward else train_discriminator
    kinds = (SHARED, SHARED, LOCAL)

    def run_each(stage: Callable[..., Any], params: Any) -> list[Any]:
        return [run(stage, kinds, names)({n: params[n] for n in names}, step, signals) for names in computed]

    results = run_each(first, before.params)
    losses = {name: loss for (each, _), _ in results for name, loss in each.items()}
    gradients = {name: gradient for (_, each), _ in results for name, gradient in each.items()}
    groups = [(name,) for name in losses] if config.discriminator.drawn else [tuple(losses)]
    after, norms = before, []
    for group in groups:
        update = run(update_discriminators, (SHARED, SHARED, SHARED), len(losses))
        (stacks, norm), _ = update(take_group(before, group), {name: gradients[name] for name in group}, step)
        after = put_group(after, stacks, group)
        norms.append(norm)
    if not config.discriminator.shared_forward:
        results = run_each(through_discriminator, after.params)
    return Trained(after, groups, losses, norms, [contribution for _, contribution in results])


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


def joined(config: Config, parts: Sequence[Any], count: int) -> Any:
    """Returns the mean over `count` discriminators of trees, whose sum is that of the discriminators' values.

    With `loss.sum_discriminators` it is the sum.
    """
    total = jax.tree.map(lambda *values: sum(values[1:], values[0]), *parts)
    return total if config.loss.sum_discriminators else jax.tree.map(lambda x: x / count, total)


def split_outputs(both: adversarial.Outputs) -> tuple[adversarial.Outputs, adversarial.Outputs]:
    """Splits discriminator outputs for a batch of real and then fake audio into the two halves."""
    half = both[0][0].shape[0] // 2
    real = [(logits[:half], [f[:half] for f in features]) for logits, features in both]
    fake = [(logits[half:], [f[half:] for f in features]) for logits, features in both]
    return real, fake


def _outputs(nets: Networks, names: tuple[str, ...], params: Any, audio: jax.Array) -> Any:
    return nets.discriminators.clone(only=names).apply({"params": params}, audio)


def _own_losses(
    config: Config, names: tuple[str, ...], outputs: tuple[adversarial.Outputs, adversarial.Outputs]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The sum of the discriminators' losses on (real, fake) outputs, and each one."""
    form = config.loss.adversarial_form
    each = [adversarial.discriminator([real], [fake], form) for real, fake in zip(*outputs, strict=True)]
    return jnp.sum(jnp.stack(each)), dict(zip(names, each, strict=True))


def _generator_terms(
    config: Config, step: jax.Array, signals: Signals, real: Any, fake: Any, pull: Callable[[Any], jax.Array]
) -> Contribution:
    """Computes the terms on the outputs of discriminators, summed over them.

    `pull` maps a gradient of "fake" to one of the estimate.
    """
    weights = terms.weights_of(config.loss)
    chosen = [term for name in weights if (term := terms.TERMS[name]).on_discriminators]
    fixed = {"target": signals[0], "key": make_key(config.seed, Purpose.LOSSES, step)}
    real = jax.lax.stop_gradient(real)

    def compute(inputs: tuple[Any, jax.Array]) -> Losses:
        pairs = [
            fixed | {"real": [a], "fake": [b], "estimate": inputs[1]} for a, b in zip(real, inputs[0], strict=True)
        ]
        return {term.name: sum((term(config, pair) for pair in pairs), jnp.zeros(())) for term in chosen}

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
