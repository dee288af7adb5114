"""One training step over one replica's shard, as pure functions.

`make_step` composes `forward`, `update_discriminators`, `reconstruction_losses` and `update_generator`. The generator
runs forward once; the discriminators are updated on its reconstruction, and the generator's gradient then uses the same
forward pass.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from codax.codec.microbatches import mean_and_joined, mean_value_and_grad
from codax.codec.module import CodecModel
from codax.config import Config
from codax.discriminators.ensemble import Discriminators
from codax.losses import adversarial, balancer, terms
from codax.training.frozen import divide
from codax.training.optimizers import make_optimizers
from codax.training.randomness import Purpose, draw_bypass, draw_denoising, draw_levels, draw_rate, make_key
from codax.training.state import TrainState, has_adversary, set_rate, take_rate, update_ema

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Losses = dict[str, jax.Array]  # unweighted scalars by name of the term
Step = Callable[..., tuple[TrainState, Metrics]]  # of state, batch and perhaps a frozen teacher
LossGroup = Callable[[jax.Array, jax.Array], Losses]  # (estimate, target) -> terms that share computation


@dataclasses.dataclass(frozen=True)
class Phase:
    """The parts of a step that are active; the step number determines it, and each phase is compiled once."""

    quantize: bool
    spectral: bool
    adversarial: bool

    def __str__(self) -> str:
        parts = {"quantizer": self.quantize, "spectral loss": self.spectral, "discriminators": self.adversarial}
        return ", ".join(name for name, on in parts.items() if on) or "the network alone"


def phase_at(config: Config, step: int) -> Phase:
    """Returns the phase of step number `step` (from 0); a language model has one phase."""
    if config.lm.codec:
        return Phase(quantize=False, spectral=False, adversarial=False)
    d = config.discriminator
    return Phase(
        quantize=step >= config.quantizer.start_step,
        spectral=config.loss.spectral > 0 and step >= config.loss.spectral_start_step,
        adversarial=has_adversary(config) and step >= d.start_step and (step - d.start_step) % d.every == 0,
    )


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules and optimisers of a recipe; all arrays are in the state."""

    config: Config
    model: CodecModel
    discriminators: Discriminators
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation

    @staticmethod
    def of(config: Config) -> Networks:
        dtype: Any = jnp.bfloat16 if config.train.compute_dtype == "bfloat16" else None
        return Networks(
            config,
            CodecModel(config, remat=config.memory.remat, pieces=config.memory.accumulate),
            Discriminators(config.discriminator, dtype=dtype),
            *make_optimizers(config),
        )


class Reconstruction(NamedTuple):
    """A batch after the generator's forward pass."""

    target: jax.Array  # [batch, samples, channels]
    audio: jax.Array  # [batch, samples, channels]
    losses: Losses  # the terms computed inside the forward pass
    backward: Callable[[tuple[jax.Array, Losses]], tuple[Any]]  # cotangents of (audio, losses) -> trained parameters'
    codebook: Any  # the codebook collection after the pass
    metrics: Metrics


def mean_over(tree: Any, axis: str | None) -> Any:
    """Averages over the mapped axis; without an axis, returns the tree unchanged."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


def forward(nets: Networks, phase: Phase, state: TrainState, batch: Batch, axis: str | None) -> Reconstruction:
    """Runs the generator forward; `update_generator` differentiates this pass."""
    config = nets.config
    source, target, condition = draw_denoising(config, batch, state.step, axis)
    settings = {
        "levels": draw_levels(config, state.step, len(source), axis),
        "bypass": draw_bypass(config, state.step, len(source), axis),
        "key": make_key(config.seed, Purpose.REVIVE, state.step),
        "revive": state.step % config.quantizer.dead_every == 0,
    }

    trained, frozen = divide(config, state.generator)

    def generate(params: Any) -> tuple[tuple[jax.Array, Losses], tuple[Metrics, Any]]:
        output, updated = nets.model.apply(
            {"params": params | frozen, "codebook": state.codebook},
            source,
            quantize=phase.quantize,
            update=phase.quantize and "quantizer" not in config.train.freeze,
            axis=axis,
            condition=condition,
            mutable=["codebook"],
            **settings,
        )
        losses = inner_losses(config, batch, vars(output)) if phase.quantize else {}
        return (output.audio, losses), (output.metrics, updated["codebook"])

    (audio, losses), backward, (metrics, codebook) = jax.vjp(generate, trained, has_aux=True)
    metrics = {f"codebook/{name}": value for name, value in metrics.items()}
    return Reconstruction(target, audio, losses, backward, codebook, metrics)


def inner_losses(config: Config, batch: Batch, output: dict[str, Any]) -> Losses:
    """Computes the terms that need fields of the forward pass and the batch, unless the model lacks a field."""
    chosen = [terms.TERMS[name] for name in terms.weights_of(config.loss)]
    chosen = [term for term in chosen if not term.on_reconstruction]
    absent = {name for name, value in output.items() if value is None}
    return {term.name: term(config, batch | output) for term in chosen if not absent.intersection(term.needs)}


def update_discriminators(
    nets: Networks, state: TrainState, made: Reconstruction, axis: str | None
) -> tuple[TrainState, Any, Metrics]:
    """Updates the discriminators on the reconstruction.

    Returns:
      The state with the new discriminators, their parameters (with `discriminator.per_kbps`, those of this step's
      rate), and metrics.
    """
    config, form, add = nets.config, nets.config.loss.adversarial_form, nets.config.loss.sum_discriminators
    rate = draw_rate(config, state.step) if config.discriminator.per_kbps else None
    stacks = (state.discriminator, state.discriminator_optimizer)
    before = take_rate(stacks, rate)

    def loss_of(params: Any, target: jax.Array, estimate: jax.Array) -> jax.Array:
        both: Any = nets.discriminators.apply({"params": params}, jnp.concatenate([target, estimate]))
        return adversarial.discriminator(*split_outputs(both), form, add)

    value_and_grad = mean_value_and_grad(loss_of, config.memory.accumulate)
    fixed = jax.lax.stop_gradient(made.audio)
    loss, gradients = mean_over(value_and_grad(before[0], made.target, fixed), axis)
    updates, optimizer_state = nets.discriminator_optimizer.update(gradients, before[1], before[0])
    after = (optax.apply_updates(before[0], updates), optimizer_state)
    if (chance := config.discriminator.update_probability) < 1:
        keep = jax.random.uniform(make_key(config.seed, Purpose.DISCRIMINATOR, state.step)) < chance
        after = jax.tree.map(lambda a, b: jnp.where(keep, a, b), after, before)
    params, optimizer_state = set_rate(stacks, after, rate)
    metrics = {"loss/discriminator": loss, "gradient/discriminator": optax.tree.norm(gradients)}
    return state.replace(discriminator=params, discriminator_optimizer=optimizer_state), after[0], metrics


def reconstruction_losses(
    nets: Networks,
    phase: Phase,
    state: TrainState,
    discriminator: Any,
    made: Reconstruction,
    axis: str | None,
    teacher: Any = None,
) -> tuple[Losses, jax.Array, balancer.BalancerState | None]:
    """Computes the terms on the reconstruction, and their gradient.

    Args:
      discriminator: parameters from `update_discriminators`; not used if the phase is not adversarial.
      teacher: from `teachers.open.open_differentiable`; None without `loss.self_supervised`.

    Returns:
      The losses, their joint gradient with respect to the reconstruction, and the balancer's new state.
    """
    config, weights = nets.config, terms.weights_of(nets.config.loss)
    key = make_key(config.seed, Purpose.LOSSES, state.step)

    def compute(group: Sequence[terms.Term], estimate: jax.Array, target: jax.Array) -> Losses:
        inputs = {"target": target, "estimate": estimate, "key": key}
        inputs |= {} if teacher is None else {"teacher": teacher}
        if group[0].on_discriminators:
            real, fake = (nets.discriminators.apply({"params": discriminator}, x) for x in (target, estimate))
            inputs |= {"real": jax.lax.stop_gradient(real), "fake": fake}
        return {term.name: term(config, inputs) for term in group}

    groups = [functools.partial(compute, group) for group in term_groups(phase, weights)]
    if state.balancer is None:
        gradient = mean_and_joined(joint_gradient(groups, weights), config.memory.accumulate)
        return *gradient(made.audio, made.target), None
    gradients_of = mean_and_joined(separate_gradients(groups), config.memory.accumulate)
    losses, gradients = gradients_of(made.audio, made.target)
    decay = config.loss.balancer_decay
    return losses, *balancer.balance(gradients, weights, state.balancer, decay=decay, axis=axis)


def term_groups(phase: Phase, weights: dict[str, float]) -> list[list[terms.Term]]:
    """Groups the phase's terms on the reconstruction; the last group has all terms that need the discriminators."""
    chosen = [terms.TERMS[name] for name in weights if phase.spectral or name != "spectral"]
    chosen = [term for term in chosen if term.on_reconstruction]
    shared = [term for term in chosen if term.on_discriminators and phase.adversarial]
    return [[term] for term in chosen if not term.on_discriminators] + ([shared] if shared else [])


def joint_gradient(groups: Sequence[LossGroup], weights: dict[str, float]) -> Callable[..., tuple[Losses, jax.Array]]:
    """Builds (estimate, target) -> the losses, and the gradient of their weighted sum to `estimate`."""

    def total(estimate: jax.Array, target: jax.Array) -> tuple[jax.Array, Losses]:
        losses = {name: value for group in groups for name, value in group(estimate, target).items()}
        return sum((weights[name] * value for name, value in losses.items()), jnp.zeros(())), losses

    def joint(estimate: jax.Array, target: jax.Array) -> tuple[Losses, jax.Array]:
        gradient, losses = jax.grad(total, has_aux=True)(estimate, target)
        return losses, gradient

    return joint


def separate_gradients(groups: Sequence[LossGroup]) -> Callable[..., tuple[Losses, dict[str, jax.Array]]]:
    """Builds (estimate, target) -> the losses, and the gradient of each one to `estimate`."""

    def separate(estimate: jax.Array, target: jax.Array) -> tuple[Losses, dict[str, jax.Array]]:
        # Group by group, since a cotangent of 0 costs as much in the discriminators as any other.
        every, gradients = {}, {}
        for group in groups:
            losses, pull = jax.vjp(lambda estimate, group=group: group(estimate, target), estimate)
            zeros = jax.tree.map(jnp.zeros_like, losses)
            gradients |= {name: pull({**zeros, name: jnp.ones_like(value)})[0] for name, value in losses.items()}
            every |= losses
        return every, gradients

    return separate


def update_generator(
    nets: Networks, state: TrainState, made: Reconstruction, losses: Losses, gradient: jax.Array, axis: str | None
) -> tuple[TrainState, Metrics]:
    """Updates the generator, its average and its codebooks.

    Args:
      losses, gradient: from `reconstruction_losses`.
    """
    config, weights = nets.config, terms.weights_of(nets.config.loss)
    losses = losses | made.losses
    total = sum(weights[name] * value for name, value in losses.items())
    inner = {name: jnp.asarray(weights[name], value.dtype) for name, value in made.losses.items()}
    (gradients,) = made.backward((gradient, inner))
    total, losses, gradients = mean_over((total, losses, gradients), axis)
    before, frozen = divide(config, state.generator)
    updates, optimizer_state = nets.generator_optimizer.update(gradients, state.generator_optimizer, before)
    trained: Any = optax.apply_updates(before, updates)
    average = update_ema(divide(config, state.average)[0], trained, state.step, config.train.ema_decay)
    new = state.replace(
        generator=trained | frozen,
        generator_optimizer=optimizer_state,
        average=average | frozen,
        codebook=made.codebook,
    )
    metrics = {"loss/generator": total, "gradient/generator": optax.tree.norm(gradients)}
    return new, metrics | {f"loss/{name}": value for name, value in losses.items()}


def make_step(config: Config, phase: Phase, axis: str | None) -> Step:
    """Builds `step(state, batch, teacher=None) -> (state, metrics)` for one phase.

    `batch["audio"]` is this replica's shard [batch, samples, channels]; distillation needs the teacher's
    `batch["features"]` [batch, frames, channels]. State and metrics are equal on every replica. With
    `memory.accumulate`, networks, discriminators and losses process the shard in microbatches; the quantizer and the
    balancer process all of it at once. A step with non-finite losses or gradients changes only the step number and the
    counters.
    """
    nets = Networks.of(config)

    def step(state: TrainState, batch: Batch, teacher: Any = None) -> tuple[TrainState, Metrics]:
        made = forward(nets, phase, state, batch, axis)
        new, discriminator, metrics = state, None, made.metrics
        if phase.adversarial:
            new, discriminator, more = update_discriminators(nets, state, made, axis)
            metrics |= more
        losses, gradient, balancer_state = reconstruction_losses(nets, phase, state, discriminator, made, axis, teacher)
        new, more = update_generator(nets, new.replace(balancer=balancer_state), made, losses, gradient, axis)
        return keep_if_finite(state, new, metrics | more)

    return step


def keep_if_finite(state: TrainState, new: TrainState, metrics: Metrics) -> tuple[TrainState, Metrics]:
    """Returns `new` if all losses and gradients are finite, else `state`, with step number and counters updated."""
    checked = [metrics[k] for k in metrics if k.startswith(("loss/", "gradient/"))]
    ok = jnp.all(jnp.isfinite(jnp.stack(checked)))
    good = new.replace(bad_steps=jnp.zeros_like(state.bad_steps))
    unchanged = state.replace(bad_steps=state.bad_steps + 1, bad_total=state.bad_total + 1)
    kept = jax.tree.map(lambda a, b: jnp.where(ok, a, b), good, unchanged)
    counted = metrics | {"bad_steps": kept.bad_steps, "bad_total": kept.bad_total}
    return kept.replace(step=state.step + 1), counted


def split_outputs(both: adversarial.Outputs) -> tuple[adversarial.Outputs, adversarial.Outputs]:
    """Splits discriminator outputs for a batch of real and then fake audio into the two halves."""
    half = both[0][0].shape[0] // 2
    real = [(logits[:half], [f[:half] for f in features]) for logits, features in both]
    fake = [(logits[half:], [f[half:] for f in features]) for logits, features in both]
    return real, fake


def make_codebook_init(config: Config, axis: str | None) -> Step:
    """Builds `init(state, batch) -> (state, {})`, which initialises the codebooks from the global batch."""
    model = CodecModel(config, pieces=config.memory.accumulate)

    def init(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _, updated = model.apply(
            {"params": state.generator, "codebook": state.codebook},
            batch["audio"],
            make_key(config.seed, Purpose.KMEANS, 0),
            axis,
            method=CodecModel.initialise_codebooks,
            mutable=["codebook"],
        )
        return state.replace(codebook=updated["codebook"]), {}

    return init
