"""EnCodec's loss balancer (arXiv 2210.13438, section 3.4): weights are shares of the gradient, not factors of losses.

The balancer divides each loss's gradient with respect to the reconstruction by a moving average of its norm, and
multiplies it by the loss's share of the weights. The scale of a loss then has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import flax.struct
import jax
import jax.numpy as jnp

EPSILON = 1e-12


@flax.struct.dataclass
class BalancerState:
    """Moving sums of gradient norms, and of ones, which correct the bias of the start; keyed by loss."""

    norm: dict[str, jax.Array]
    weight: dict[str, jax.Array]


def init_balancer(names: Iterable[str]) -> BalancerState:
    """The state before the first step."""
    return BalancerState({n: jnp.zeros(()) for n in names}, {n: jnp.zeros(()) for n in names})


def carry_over(before: BalancerState, fresh: BalancerState) -> BalancerState:
    """Copies the sums in `before` to `fresh` by name; a new loss keeps its fresh sums, a removed loss is dropped."""
    kept = set(fresh.norm).intersection(before.norm)
    return BalancerState(
        norm=fresh.norm | {name: before.norm[name] for name in kept},
        weight=fresh.weight | {name: before.weight[name] for name in kept},
    )


def item_norm(gradient: jax.Array) -> jax.Array:
    """Mean norm of the items' gradients [batch, ...]; float32 scalar."""
    flat = gradient.astype(jnp.float32).reshape(gradient.shape[0], -1)
    return jnp.mean(jnp.sqrt(jnp.sum(flat**2, axis=-1)))


def balance(
    gradients: Mapping[str, jax.Array],
    weights: Mapping[str, float],
    state: BalancerState,
    *,
    decay: float,
    axis: str | None = None,
) -> tuple[jax.Array, BalancerState]:
    """Combines the gradients of several losses.

    Args:
      gradients: the gradient of each loss's mean over this replica's shard with respect to the reconstruction,
        [batch, time, channels].
      weights: one for each loss; only their ratios matter. Losses without a gradient in this step keep their average.
      decay: decay of the moving averages.
      axis: mapped axis of data parallelism; norms are averaged over it.

    Returns:
      The sum of the scaled gradients, and the new state. An item's norm does not depend on the size of the batch, so
      gradients of parameters are sums over items. The step averages over replicas later; the gradients returned here
      are therefore larger by the number of replicas.
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
        scale = weights[name] / total / (norm[name] / weight[name] + EPSILON)
        parts.append(gradient * scale)
    return sum(parts[1:], parts[0]), BalancerState(norm, weight)
