"""The optimisers of a recipe: Adam, AdamW or Muon, with a learning rate schedule."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import optax
from optax import contrib

from codax.config import Config, OptimizerConfig
from codax.discriminators.ensemble import members_of


def learning_rate(config: OptimizerConfig, rate: float, total_steps: int) -> optax.Schedule:
    """Schedules the learning rate: linear warm-up, then constant, cosine or exponential."""
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
    """Selects the parameters that Muon updates, and how it views them as matrices.

    These are kernels [width, in_channels, out_channels], as matrices (width x in_channels, out_channels), and the
    matrices of Transformers. None marks biases and other parameters, for which Optax's Muon uses Adam (Nesterov's).
    """
    convolution = contrib.MuonDimensionNumbers(reduction_axis=(0, 1), output_axis=(2,))
    matrix = contrib.MuonDimensionNumbers(reduction_axis=(0,), output_axis=(1,))

    def dimensions(path: Any, p: Any) -> contrib.MuonDimensionNumbers | None:
        if in_module(path, "quantizer"):
            return None  # stacks of codebooks and projections
        if p.ndim == 3:
            return convolution
        return matrix if p.ndim == 2 and in_module(path, "transformer") else None

    return jax.tree_util.tree_map_with_path(dimensions, params)


def in_module(path: Any, name: str) -> bool:
    """Whether the path of a parameter contains a module of that name."""
    return any(getattr(entry, "key", None) == name for entry in path)


def transformers_alone(params: Any) -> Any:
    """Mask that is true for the parameters of Transformers."""
    return jax.tree_util.tree_map_with_path(lambda path, _: in_module(path, "transformer"), params)


def make_optimizer(config: OptimizerConfig, rate: float, total_steps: int) -> optax.GradientTransformation:
    """Builds Adam (AdamW with weight decay) or Muon, after gradient clipping if `clip_norm` is positive.

    Muon (Jordan et al., 2024) orthogonalises the momentum of each kernel; its updates are scaled to the RMS of Adam's
    (arXiv 2502.16982), so that both use one learning rate. With `decay_transformers_only`, weight decay applies only to
    the Transformers' parameters, and with Muon only to those that Muon updates.
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
    """Builds the optimisers of the generator and the discriminators; the latter counts the discriminators' updates.

    Each discriminator has a count of its own, with `discriminator.per_kbps` one for each rate; its schedule covers the
    expected number of updates, so that it ends with the run also if not every step updates it.
    """
    d = config.discriminator
    share = d.update_probability / (d.every * (len(config.quantizer.kbps) if d.per_kbps else 1))
    share *= d.drawn / len(members_of(d)) if d.drawn else 1
    d_steps = max(1, round((config.train.steps - d.start_step) * share))
    clip_norm = config.optimizer.discriminator_clip_norm or config.optimizer.clip_norm
    adam = dataclasses.replace(config.optimizer, kind="adam", clip_norm=clip_norm)
    return (
        make_optimizer(config.optimizer, config.optimizer.learning_rate, config.train.steps),
        make_optimizer(adam, config.optimizer.discriminator_learning_rate, d_steps),
    )
