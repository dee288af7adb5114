"""One training step over one replica's shard, as pure functions.

`make_step` composes stages: `forward`, `reconstruction_losses`, those of `training.adversary` for each discriminator,
`update_generator` and `adversary.choose_finite`. The generator runs forward once; the discriminators are trained on its
reconstruction, and the generator's gradient then uses the same forward pass. The stages are one program, or a program
each.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from codax.codec.microbatches import mean_and_joined
from codax.codec.module import CodecModel
from codax.config import Config
from codax.losses import balancer, terms
from codax.training import adversary
from codax.training.frozen import divide
from codax.training.gradients import JOINT, Gradients, Losses, gradients_of
from codax.training.networks import Networks
from codax.training.parallel import BATCH, DONATED, LOCAL, SHARED, mean_over
from codax.training.randomness import Purpose, draw_bypass, draw_denoising, draw_discriminators, draw_levels, make_key
from codax.training.stages import Stages
from codax.training.state import Stacks, TrainState, has_adversary, update_ema

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Step = Callable[..., tuple[TrainState, Metrics]]  # of state, batch and perhaps a frozen teacher


@dataclasses.dataclass(frozen=True)
class Phase:
    """The parts of a step that are active; the step number determines it, and each phase is compiled once."""

    quantize: bool
    spectral: bool
    adversarial: bool
    drawn: tuple[str, ...] = ()  # names of the discriminators that the step uses, if they are drawn; () = all

    def __str__(self) -> str:
        discriminators = " and ".join(self.drawn) or "discriminators"
        parts = {"quantizer": self.quantize, "spectral loss": self.spectral, discriminators: self.adversarial}
        return ", ".join(name for name, on in parts.items() if on) or "the network alone"


def phase_at(config: Config, step: int) -> Phase:
    """Returns the phase of step number `step` (from 0); a language model has one phase."""
    if config.lm.codec:
        return Phase(quantize=False, spectral=False, adversarial=False)
    d = config.discriminator
    adversarial = has_adversary(config) and step >= d.start_step and (step - d.start_step) % d.every == 0
    return Phase(
        quantize=step >= config.quantizer.start_step,
        spectral=config.loss.spectral > 0 and step >= config.loss.spectral_start_step,
        adversarial=adversarial,
        drawn=draw_discriminators(config, step) if adversarial and d.drawn else (),
    )


def all_phases(config: Config) -> list[Phase]:
    """Returns the phases of a run; of drawn discriminators, those of 1,000 steps."""
    d, last = config.discriminator, config.train.steps
    span = 1_000 if d.drawn else max(1, d.every)
    starts = (0, config.quantizer.start_step, config.loss.spectral_start_step, d.start_step)
    steps = sorted({step for start in starts for step in range(start, min(start + span, last))})
    return list(dict.fromkeys(phase_at(config, step) for step in steps))


class Reconstruction(NamedTuple):
    """A batch after the generator's forward pass."""

    target: jax.Array  # [batch, samples, channels]
    audio: jax.Array  # [batch, samples, channels]
    losses: Losses  # the terms computed inside the forward pass
    backward: Callable[[tuple[jax.Array, Losses]], tuple[Any]]  # cotangents of (audio, losses) -> trained parameters'


def forward(
    nets: Networks, phase: Phase, state: TrainState, batch: Batch, *, axis: str | None
) -> tuple[tuple[Any, Metrics], Reconstruction]:
    """Runs the generator forward; `update_generator` differentiates this pass.

    Returns:
      The codebook collection after the pass and metrics, and the reconstruction.
    """
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
    return (codebook, metrics), Reconstruction(target, audio, losses, backward)


def inner_losses(config: Config, batch: Batch, output: dict[str, Any]) -> Losses:
    """Computes the terms that need fields of the forward pass and the batch, unless the model lacks a field."""
    chosen = [terms.TERMS[name] for name in terms.weights_of(config.loss)]
    chosen = [term for term in chosen if not term.on_reconstruction]
    absent = {name for name, value in output.items() if value is None}
    return {term.name: term(config, batch | output) for term in chosen if not absent.intersection(term.needs)}


def reconstruction_losses(
    nets: Networks, phase: Phase, step: jax.Array, signals: adversary.Signals, teacher: Any = None, *, axis: str | None
) -> tuple[None, tuple[Losses, Gradients]]:
    """Computes the terms on the reconstruction that need no discriminator, and their gradients to it.

    Args:
      teacher: from `teachers.open.open_differentiable`; None without `loss.self_supervised`.
    """
    config, weights = nets.config, terms.weights_of(nets.config.loss)
    known = {"key": make_key(config.seed, Purpose.LOSSES, step)} | ({} if teacher is None else {"teacher": teacher})
    chosen = [terms.TERMS[name] for name in weights if phase.spectral or name != "spectral"]
    chosen = [term for term in chosen if term.on_reconstruction and not term.on_discriminators]

    def contribution(target: jax.Array, estimate: jax.Array) -> tuple[Losses, Gradients]:
        def compute(term: terms.Term) -> Callable[[jax.Array], Losses]:
            return lambda x: {term.name: term(config, known | {"target": target, "estimate": x})}

        return gradients_of([compute(term) for term in chosen], weights, apart=config.loss.balancer)(estimate)

    return None, mean_and_joined(contribution, config.memory.accumulate)(*signals)


def update_generator(
    nets: Networks,
    optimization: tuple[Any, Any],
    state: TrainState,
    passed: tuple[Any, Metrics],
    judged: tuple[Sequence[jax.Array], Sequence[jax.Array]],
    made: Reconstruction,
    plain: tuple[Losses, Gradients],
    contributions: Sequence[adversary.Contribution],
    *,
    axis: str | None,
) -> tuple[tuple[TrainState, Metrics], None]:
    """Updates the generator, its average and its codebooks, unless a loss or gradient is not finite.

    Args:
      optimization: optimiser state and average of the generator.
      state: the rest of the state, without the discriminators.
      passed: codebooks and metrics, from `forward`.
      judged: losses of the discriminators and norms of their gradients, which must be finite too.
      plain: from `reconstruction_losses`.
      contributions: of the discriminators.

    Returns:
      The new state without the discriminators, and metrics.
    """
    config, weights = nets.config, terms.weights_of(nets.config.loss)
    state = state.replace(generator_optimizer=optimization[0], average=optimization[1])
    (codebook, metrics), (each, norms) = passed, judged
    parts = [plain, adversary.joined(config, contributions, len(each))] if contributions else [plain]
    losses = {name: value for part, _ in parts for name, value in part.items()} | made.losses
    gradient, balancer_state = _total_gradient(config, [gradients for _, gradients in parts], state.balancer, axis)
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
        codebook=codebook,
        balancer=balancer_state,
    )
    metrics |= {"loss/generator": total, "gradient/generator": optax.tree.norm(gradients)}
    metrics |= {f"loss/{name}": value for name, value in losses.items()}
    if contributions:
        metrics |= {
            "loss/discriminator": adversary.joined(config, each, len(each)),
            "gradient/discriminator": optax.tree.norm(norms),
        }
    return keep_if_finite(state, new, metrics), None


def _total_gradient(
    config: Config, parts: Sequence[Gradients], state: balancer.BalancerState | None, axis: str | None
) -> tuple[jax.Array, balancer.BalancerState | None]:
    """Returns the gradient of all terms to the reconstruction, and the balancer's new state."""
    if state is None:
        return functools.reduce(jnp.add, [part[JOINT] for part in parts]), None
    gradients = {name: gradient for part in parts for name, gradient in part.items()}
    weights = terms.weights_of(config.loss)
    return balancer.balance(gradients, weights, state, decay=config.loss.balancer_decay, axis=axis)


def make_step(config: Config, phase: Phase, axis: str | None, stages: Stages | None = None) -> Step:
    """Builds `step(state, batch, teacher=None) -> (state, metrics)` for one phase.

    `batch["audio"]` is this replica's shard [batch, samples, channels]; distillation needs the teacher's
    `batch["features"]` [batch, frames, channels]. State and metrics are equal on every replica. With
    `memory.accumulate`, networks, discriminators and losses process the shard in microbatches; the quantizer and the
    balancer process all of it at once. A step with non-finite losses or gradients changes only the step number and the
    counters.

    Args:
      stages: compiles each stage as a program, which serves other phases too; then `step` is not to be compiled, and
        `batch` is of all replicas. None = the step is one function of one replica's shard.
    """
    run = stages or Stages(Networks.of(config), axis)
    network = dataclasses.replace(phase, drawn=())  # what depends on no discriminator

    def step(state: TrainState, batch: Batch, teacher: Any = None) -> tuple[TrainState, Metrics]:
        passed, made = run(forward, (SHARED, BATCH), network)(state, batch)
        signals = (made.target, made.audio)
        frozen = () if teacher is None else (teacher,)  # jax.pmap takes no argument without arrays
        kinds = (SHARED, LOCAL, *(SHARED for _ in frozen))
        _, plain = run(reconstruction_losses, kinds, network)(state.step, signals, *frozen)
        before, trained = Stacks(state.discriminator, state.discriminator_optimizer), None
        judged, contributions = ([], []), []
        if phase.adversarial:
            trained = adversary.train(run, before, state.step, signals, phase.drawn)
            judged, contributions = (list(trained.losses.values()), trained.norms), trained.contributions
        generator = (state.generator_optimizer, state.average)
        rest = state.replace(generator_optimizer=None, average=None, discriminator=None, discriminator_optimizer=None)
        update = run(update_generator, (DONATED, SHARED, SHARED, SHARED, LOCAL, LOCAL, LOCAL))
        (new, metrics), _ = update(generator, rest, passed, judged, made, plain, contributions)
        after = before
        if trained is not None:
            after = adversary.kept(run, new.bad_steps, before, trained)
            metrics = metrics | {f"discriminator/{name}": loss for name, loss in trained.losses.items()}
        return new.replace(discriminator=after.params, discriminator_optimizer=after.optimizer), metrics

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
