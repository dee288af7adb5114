"""EnCodec's loss balancer (arXiv 2210.13438, section 3.4): weights are shares of the gradient, not factors of losses.

Each loss's gradient with respect to the reconstruction is divided by a moving average of its norm and multiplied by the
loss's share of all weights, so that the scale of a loss does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import flax.struct
import jax
import jax.numpy as jnp

EPSILON = 1e-12


@flax.struct.dataclass
class BalancerState:
    """Moving sums of gradient norms, and of ones to correct their start, each by name of a loss."""

    norm: dict[str, jax.Array]
    weight: dict[str, jax.Array]


def init_balancer(names: Iterable[str]) -> BalancerState:
    """The state before the first step."""
    return BalancerState({n: jnp.zeros(()) for n in names}, {n: jnp.zeros(()) for n in names})


def carry_over(before: BalancerState, fresh: BalancerState) -> BalancerState:
    """The state `fresh` with the sums of `before` by name: a new loss starts fresh, a lost one is dropped."""
    kept = set(fresh.norm).intersection(before.norm)
    return BalancerState(
        norm=fresh.norm | {name: before.norm[name] for name in kept},
        weight=fresh.weight | {name: before.weight[name] for name in kept},
    )


def item_norm(gradient: jax.Array) -> jax.Array:
    """Mean over the batch of the norm of each item's gradient [batch, ...]; float32 scalar."""
    flat = gradient.astype(jnp.float32).reshape(gradient.shape[0], -1)
    return jnp.mean(jnp.sqrt(jnp.sum(flat**2, axis=-1)))


def balance(
    gradients: Mapping[str, jax.Array],
    weights: Mapping[str, float],
    state: BalancerState,
    *,
    decay: float,
    axis: str | None = None,
    total_norm: float = 1.0,
) -> tuple[jax.Array, BalancerState]:
    """One gradient out of several.

    Args:
      gradients: of each loss with respect to the reconstruction, [batch, time, channels], this replica's shard. Each is
        the gradient of the shard's mean loss.
      weights: of each loss; only their ratios count. Names without a gradient in this step keep their average.
      decay: of the moving averages.
      axis: mapped axis of data parallelism; norms are averaged over it.
      total_norm: the norm R that the shares are taken of.

    Returns:
      The sum of the scaled gradients, and the new state. Every item has the same norm whatever the size of the batch,
      so the gradients of parameters are sums over items; as replicas are averaged afterwards, the gradients here are
      larger by their number.
    """
    norms = {name: item_norm(g) for name, g in gradients.items()}
    if axis is not None:
        # The gradient of the mean over all shards is smaller by the number of shards.
        replicas = jax.lax.axis_size(axis)
        norms = {name: value / replicas for name, value in jax.lax.pmean(norms, axis).items()}
    norm, weight = dict(state.norm), dict(state.weight)
    total = sum(weights[name] for name in gradients)
    parts = []
    for name, gradient in gradients.items():
        norm[name] = decay * norm[name] + norms[name]
        weight[name] = decay * weight[name] + 1
        scale = total_norm * weights[name] / total / (norm[name] / weight[name] + EPSILON)
        parts.append(gradient * scale)
    return sum(parts[1:], parts[0]), BalancerState(norm, weight)
