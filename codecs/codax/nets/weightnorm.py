"""Weight normalisation (Salimans and Kingma, 2016): kernel = scale * direction / |direction|.

A layer keeps `kernel_direction` and `kernel_scale` in training. `fold` turns them into the plain `kernel` that the same
layer takes where it finds one, so that inference does not normalise again at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

DIRECTION, SCALE, KERNEL = "kernel_direction", "kernel_scale", "kernel"


def normed(direction: jax.Array, scale: jax.Array) -> jax.Array:
    """The kernel of a direction [width..., in, out] and a scale with ones along the axes that are normalised over."""
    axes = tuple(i for i, n in enumerate(scale.shape) if n == 1 and direction.shape[i] != 1)
    return direction * (scale / jnp.sqrt(jnp.sum(direction**2, axis=axes, keepdims=True)))


def kernel_parameter(
    module: nn.Module,
    init: Callable[..., jax.Array],
    shape: tuple[int, ...],
    *,
    weight_norm: bool,
    axis: int | tuple[int, ...],
) -> jax.Array:
    """The kernel [width..., in, out] of a convolution, from one parameter or from direction and scale.

    Args:
      axis: the axis that has a scale per entry: the last (output channels), or the one before it for PyTorch's
        transposed convolutions; or several, for a stack of kernels.
    """
    if not weight_norm or module.has_variable("params", KERNEL):
        return module.param(KERNEL, init, shape)
    direction = module.param(DIRECTION, init, shape)
    kept = (axis,) if isinstance(axis, int) else axis
    axes = tuple(i for i in range(len(shape)) if i not in kept)
    scale = module.param(SCALE, lambda key: jnp.sqrt(jnp.sum(direction**2, axis=axes, keepdims=True)))
    return normed(direction, scale)


def fold(params: Any) -> Any:
    """Parameters with every direction and scale replaced by their kernel."""
    flat: dict[tuple[str, ...], Any] = flatten_dict(params)  # type: ignore[assignment]
    folded = {path: value for path, value in flat.items() if path[-1] not in (DIRECTION, SCALE)}
    layers = [path[:-1] for path in flat if path[-1] == DIRECTION]
    kernels = _kernels([(flat[*layer, DIRECTION], flat[*layer, SCALE]) for layer in layers])
    return unflatten_dict(folded | {(*layer, KERNEL): kernel for layer, kernel in zip(layers, kernels, strict=True)})


@jax.jit
def _kernels(pairs: list[tuple[jax.Array, jax.Array]]) -> list[jax.Array]:
    """Those of directions and scales, as one program, which is kept: one by one they take seconds to compile."""
    return [normed(*pair) for pair in pairs]
