"""Losses of an estimate with their gradients to it: of their weighted sum, or of each one for the balancer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Losses = dict[str, jax.Array]  # unweighted scalars by name of the term
Gradients = dict[str, Any]  # trees of the estimate's form, by name of the term; that of the weighted sum is at JOINT
LossGroup = Callable[[Any], Losses]  # estimate -> terms that share computation

JOINT = ""


def gradients_of(
    groups: Sequence[LossGroup], weights: Mapping[str, float], *, apart: bool
) -> Callable[[Any], tuple[Losses, Gradients]]:
    """Builds estimate -> the losses and their gradients: one for each term with `apart`, else that of the sum."""
    return _apart(groups) if apart else _joint(groups, weights)


def _joint(groups: Sequence[LossGroup], weights: Mapping[str, float]) -> Callable[[Any], tuple[Losses, Gradients]]:
    def total(estimate: Any) -> tuple[jax.Array, Losses]:
        losses = {name: value for group in groups for name, value in group(estimate).items()}
        return sum((weights[name] * value for name, value in losses.items()), jnp.zeros(())), losses

    def joint(estimate: Any) -> tuple[Losses, Gradients]:
        gradient, losses = jax.grad(total, has_aux=True)(estimate)
        return losses, {JOINT: gradient}

    return joint


def _apart(groups: Sequence[LossGroup]) -> Callable[[Any], tuple[Losses, Gradients]]:
    def apart(estimate: Any) -> tuple[Losses, Gradients]:
        # Group by group, since a cotangent of 0 costs as much as any other.
        every, gradients = {}, {}
        for group in groups:
            losses, pull = jax.vjp(group, estimate)
            zeros = jax.tree.map(jnp.zeros_like, losses)
            gradients |= {name: pull({**zeros, name: jnp.ones_like(value)})[0] for name, value in losses.items()}
            every |= losses
        return every, gradients

    return apart
