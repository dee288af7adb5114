"""One training step over one replica's shard: pure, without input or output.

The discriminators are updated first, on the reconstruction that the generator's one forward pass made; the generator's
gradient then goes back through that same pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from codax.codec.microbatches import mean_and_joined, mean_value_and_grad
from codax.codec.module import CodecModel
from codax.config import Config
from codax.discriminators.ensemble import Discriminators
from codax.losses import adversarial, balancer, spectral
from codax.losses.distillation import distillation
from codax.quantizers import rvq
from codax.training import state as st
from codax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a step does; it follows from the step number, and each phase is compiled once."""

    quantize: bool
    spectral: bool
    adversarial: bool


def phase_at(config: Config, step: int) -> Phase:
    """The phase of step number `step` (from 0)."""
    d = config.discriminator
    on = st.has_adversary(config) and step >= d.start_step and (step - d.start_step) % d.every == 0
    return Phase(
        quantize=step >= config.quantizer.start_step,
        spectral=config.loss.spectral > 0 and step >= config.loss.spectral_start_step,
        adversarial=on,
    )


def mean_over(tree: Any, axis: str | None) -> Any:
    """Averages over the mapped axis, or returns the tree itself without one."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


def global_size(batch: int, axis: str | None) -> int:
    """Examples of all replicas together, of which each has `batch`."""
    return batch if axis is None else batch * jax.lax.axis_size(axis)


def shard_of(values: jax.Array, axis: str | None) -> jax.Array:
    """This replica's part of an array drawn for the global batch [replicas * n, ...] -> [n, ...]."""
    if axis is None:
        return values
    n = values.shape[0] // jax.lax.axis_size(axis)
    return jax.lax.dynamic_slice_in_dim(values, jax.lax.axis_index(axis) * n, n)


def draw_rate(config: Config, step: jax.Array) -> jax.Array:
    """Where in `quantizer.kbps` the rate of a step is, with `quantizer.dropout_kbps`: int32, equal on every replica."""
    key = st.make_key(config.seed, st.KEY_LEVELS, step)
    return jax.random.randint(key, (), 0, len(config.quantizer.kbps))


def draw_levels(config: Config, step: jax.Array, batch: int, axis: str | None) -> jax.Array:
    """Quantizers of each example of this shard; drawn for the global batch, so that sharding changes nothing."""
    n = config.quantizer.num_quantizers
    if not config.quantizer.dropout:
        return jnp.full((batch,), n, jnp.int32)
    if config.quantizer.dropout_kbps:
        choices = jnp.asarray([config.quantizers_for(kbps) for kbps in config.quantizer.kbps], jnp.int32)
        return jnp.full((batch,), choices[draw_rate(config, step)], jnp.int32)
    key = st.make_key(config.seed, st.KEY_LEVELS, step)
    q = config.quantizer
    return shard_of(rvq.draw_levels(key, global_size(batch, axis), n, q.semantic, q.dropout_share), axis)


def draw_bypass(config: Config, step: jax.Array, batch: int, axis: str | None) -> jax.Array | None:
    """Which examples of this shard go to the decoder without quantization, bool [batch]; None = the recipe has none."""
    if not config.quantizer.unquantized:
        return None
    draws = jax.random.uniform(st.make_key(config.seed, st.KEY_BYPASS, step), (global_size(batch, axis),))
    return shard_of(draws < config.quantizer.unquantized, axis)


def denoising_batch(config: Config, batch: Batch, step: jax.Array, axis: str | None):
    """Input, target and condition of a step.

    Without FiLM they are the audio, the audio and None. With it the input is the noisy signal, denoising is switched
    on or off along time (off, on, or one change at a random frame), and the target is clean where on, noisy where off.
    """
    audio = batch["audio"]
    if config.model.film == "none":
        return audio, audio, None
    examples, frames = audio.shape[0], audio.shape[1] // config.hop
    key = st.make_key(config.seed, st.KEY_CONDITION, step)
    draws = shard_of(jax.random.uniform(key, (global_size(examples, axis), 2)), axis)
    # The change lies anywhere in twice the length, so that half of the examples keep one value throughout.
    change = jnp.floor(draws[:, :1] * 2 * frames)
    before = draws[:, 1:] < 0.5
    on = jnp.where(jnp.arange(frames)[None] < change, before, ~before)
    on_samples = jnp.repeat(on, config.hop, axis=1)[..., None]
    return audio, jnp.where(on_samples, batch["clean"], audio), on.astype(jnp.float32)


def spectral_loss(config: Config, target: jax.Array, estimate: jax.Array, step: jax.Array) -> jax.Array:
    """The multi-scale mel loss on all scales, or on a few drawn at each step and scaled to the same expectation."""
    loss, rate = config.loss, config.model.sample_rate
    if not loss.random_windows:
        return spectral.multiscale_mel(target, estimate, loss, sample_rate=rate)
    key = st.make_key(config.seed, st.KEY_WINDOWS, step)
    chosen = jax.random.permutation(key, len(loss.windows))[: loss.random_windows]

    def scale(window: int):
        return lambda a, b: spectral.multiscale_mel(a, b, loss, sample_rate=rate, windows=(window,))

    branches = [scale(w) for w in loss.windows]
    values = [jax.lax.switch(chosen[i], branches, target, estimate) for i in range(loss.random_windows)]
    return jnp.mean(jnp.stack(values)) * (1 if loss.normalize_windows else len(loss.windows))


def weigh(
    config: Config,
    losses: Sequence[Callable[[jax.Array, jax.Array], dict[str, jax.Array]]],
    audio: jax.Array,
    target: jax.Array,
    balancer_state: balancer.BalancerState | None,
    axis: str | None,
) -> tuple[dict[str, jax.Array], jax.Array, balancer.BalancerState | None]:
    """Losses of the reconstruction, their joint gradient with respect to it, and the balancer's new state.

    Each of `losses` gives the losses that share their computation, by name.
    """
    weights = {name: getattr(config.loss, name) for name in st.BALANCED}

    def joint(audio, target):
        def total(audio):
            parts = {name: value for group in losses for name, value in group(audio, target).items()}
            return sum((weights[name] * value for name, value in parts.items()), jnp.zeros(())), parts

        slope, parts = jax.grad(total, has_aux=True)(audio)
        return parts, slope

    def apart(audio, target):
        # Group by group: a gradient of zero would cost as much as any other on its way through the discriminators.
        every, gradients = {}, {}
        for group in losses:
            parts, pull = jax.vjp(lambda audio, group=group: group(audio, target), audio)
            zeros = jax.tree.map(jnp.zeros_like, parts)
            gradients |= {name: pull({**zeros, name: jnp.ones_like(value)})[0] for name, value in parts.items()}
            every |= parts
        return every, gradients

    if balancer_state is None:
        return *mean_and_joined(joint, config.memory.accumulate)(audio, target), None
    parts, gradients = mean_and_joined(apart, config.memory.accumulate)(audio, target)
    decay = config.loss.balancer_decay
    slope, balancer_state = balancer.balance(gradients, weights, balancer_state, decay=decay, axis=axis)
    return parts, slope, balancer_state


def make_step(config: Config, phase: Phase, axis: str | None) -> Step:
    """Builds `step(state, batch) -> (state, metrics)` for one phase.

    `batch["audio"]` is [batch, samples, channels], this replica's shard; state and metrics are equal on every replica.
    With distillation, `batch["features"]` has the teacher's, [batch, frames, channels].
    With `memory.accumulate` networks, discriminators and losses work through the shard in pieces; the quantizer and the
    balancer see all of it.
    A step whose loss or gradients are not finite leaves the state as it was, but for the step number and its counters.
    """
    pieces = config.memory.accumulate
    model = CodecModel(config, remat=config.memory.remat, pieces=pieces)
    discriminators = Discriminators(
        config.discriminator, dtype=jnp.bfloat16 if config.train.compute_dtype == "bfloat16" else None
    )
    generator_optimizer, discriminator_optimizer = st.make_optimizers(config)

    def judge(params: Any, audio: jax.Array) -> Any:
        return discriminators.apply({"params": params}, audio)

    weights = config.loss

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        source, target, condition = denoising_batch(config, batch, state.step, axis)
        levels = draw_levels(config, state.step, source.shape[0], axis)
        bypass = draw_bypass(config, state.step, source.shape[0], axis)
        metrics: Metrics = {}

        def generate(params):
            output, updated = model.apply(
                {"params": params, "codebook": state.codebook},
                source,
                levels=levels,
                key=st.make_key(config.seed, st.KEY_REVIVE, state.step),
                quantize=phase.quantize,
                update=phase.quantize,
                axis=axis,
                condition=condition,
                bypass=bypass,
                revive=state.step % config.quantizer.dead_every == 0,
                mutable=["codebook"],
            )
            inner = {"commitment": output.commitment} if phase.quantize else {}
            if output.codebook is not None:
                inner["codebook"] = output.codebook
            if phase.quantize and weights.distillation > 0:
                inner["distillation"] = distillation(output.semantic, batch["features"], weights.distillation_form)
            return (output.audio, inner), (output.metrics, updated["codebook"])

        (audio, inner), backward, (quantizer_metrics, codebook) = jax.vjp(generate, state.generator, has_aux=True)
        metrics |= {f"codebook/{k}": v for k, v in quantizer_metrics.items()}

        judges = (state.discriminator, state.discriminator_optimizer)
        discriminator: Any = None
        if phase.adversarial:
            rate = draw_rate(config, state.step) if config.discriminator.per_kbps else None
            discriminator, discriminator_opt = st.select(judges, rate)
            fixed = jax.lax.stop_gradient(audio)

            def discriminate(params, target, fixed):
                # One pass over real and reconstructed audio together.
                both = judge(params, jnp.concatenate([target, fixed]))
                real, fake = split_outputs(both)
                return adversarial.discriminator(real, fake, weights.adversarial_form, weights.sum_discriminators)

            loss_d, grads_d = mean_over(mean_value_and_grad(discriminate, pieces)(discriminator, target, fixed), axis)
            updates, updated_opt = discriminator_optimizer.update(grads_d, discriminator_opt, discriminator)
            updated = optax.apply_updates(discriminator, updates)
            metrics |= {"loss/discriminator": loss_d, "gradient/discriminator": optax.global_norm(grads_d)}
            chance = config.discriminator.update_probability
            if chance < 1:
                wanted = jax.random.uniform(st.make_key(config.seed, st.KEY_JUDGE, state.step)) < chance
                updated, updated_opt = jax.tree.map(
                    lambda a, b: jnp.where(wanted, a, b), (updated, updated_opt), (discriminator, discriminator_opt)
                )
            discriminator, judges = updated, st.put(judges, (updated, updated_opt), rate)

        def waveform(audio, target):
            return {"waveform": spectral.waveform_l1(target, audio)}

        def mel(audio, target):
            return {"spectral": spectral_loss(config, target, audio, state.step)}

        def judged(audio, target):
            real, fake = jax.lax.stop_gradient(judge(discriminator, target)), judge(discriminator, audio)
            add = weights.sum_discriminators
            parts = {
                "adversarial": adversarial.generator(fake, weights.adversarial_form, add),
                "feature": adversarial.feature_l1(real, fake, weights.feature_form, add),
            }
            return {name: value for name, value in parts.items() if getattr(weights, name) > 0}

        losses = [waveform] if weights.waveform > 0 else []
        losses += [mel] if phase.spectral else []
        losses += [judged] if phase.adversarial else []
        parts, slope, balancer_state = weigh(config, losses, audio, target, state.balancer, axis)
        parts |= inner
        loss_g = sum(getattr(weights, name) * value for name, value in parts.items())
        slopes = {name: jnp.asarray(getattr(weights, name), value.dtype) for name, value in inner.items()}
        (grads_g,) = backward((slope, slopes))
        loss_g, parts, grads_g = mean_over((loss_g, parts, grads_g), axis)
        updates, generator_opt = generator_optimizer.update(grads_g, state.generator_optimizer, state.generator)
        generator = optax.apply_updates(state.generator, updates)
        metrics |= {"loss/generator": loss_g, "gradient/generator": optax.global_norm(grads_g)}
        metrics |= {f"loss/{name}": value for name, value in parts.items()}

        new = state.replace(
            generator=generator,
            discriminator=judges[0],
            codebook=codebook,
            average=st.follow(state.average, generator, state.step, config.train.ema_decay),
            generator_optimizer=generator_opt,
            discriminator_optimizer=judges[1],
            balancer=balancer_state,
        )
        return keep_if_finite(state, new, metrics)

    return step


def keep_if_finite(state: TrainState, new: TrainState, metrics: Metrics) -> tuple[TrainState, Metrics]:
    """The state after a step: `new`, or `state` where a loss or gradient is not finite, but for step and counters."""
    checked = [metrics[k] for k in metrics if k.startswith(("loss/", "gradient/"))]
    ok = jnp.all(jnp.isfinite(jnp.stack(checked)))
    good = new.replace(bad_steps=jnp.zeros_like(state.bad_steps))
    unchanged = state.replace(bad_steps=state.bad_steps + 1, bad_total=state.bad_total + 1)
    kept = jax.tree.map(lambda a, b: jnp.where(ok, a, b), good, unchanged)
    counted = metrics | {"bad_steps": kept.bad_steps, "bad_total": kept.bad_total}
    return kept.replace(step=state.step + 1), counted


def split_outputs(both: adversarial.Outputs) -> tuple[adversarial.Outputs, adversarial.Outputs]:
    """Splits discriminator outputs on a batch of real and fake audio, one after the other, into the two halves."""
    half = both[0][0].shape[0] // 2
    real = [(logits[:half], [f[:half] for f in features]) for logits, features in both]
    fake = [(logits[half:], [f[half:] for f in features]) for logits, features in both]
    return real, fake


def make_codebook_init(config: Config, axis: str | None) -> Step:
    """Builds `init(state, batch) -> (state, {})`, which sets the codebooks by k-means on the global batch."""
    model = CodecModel(config, pieces=config.memory.accumulate)

    def init(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _, updated = model.apply(
            {"params": state.generator, "codebook": state.codebook},
            batch["audio"],
            st.make_key(config.seed, st.KEY_KMEANS, 0),
            axis,
            method=CodecModel.initialise_codebooks,
            mutable=["codebook"],
        )
        return state.replace(codebook=updated["codebook"]), {}

    return init
