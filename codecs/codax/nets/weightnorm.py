"""Weight normalisation (Salimans and Kingma, 2016): kernel = scale * direction / |direction|.

In training a layer has `kernel_direction` and `kernel_scale`. `fold` replaces them by a plain `kernel`, which the layer
uses if it exists, so that inference does not normalise in every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

DIRECTION, SCALE, KERNEL = "kernel_direction", "kernel_scale", "kernel"


def normed(direction: jax.Array, scale: jax.Array) -> jax.Array:
    """The kernel of a direction [width..., in, out] and a scale of size one along the normalised axes."""
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
      module: owner of the parameters.
      init: initialiser of the kernel, or of its direction.
      shape: of the kernel.
      weight_norm: whether the kernel has a direction and a scale.
      axis: axis with a scale per entry: the last (output channels), or the one before it for PyTorch's transposed
        convolutions; or several, for a stack of kernels.
    """
    if not weight_norm or module.has_variable("params", KERNEL):
        return module.param(KERNEL, init, shape)
    direction = module.param(DIRECTION, init, shape)
    scaled = (axis,) if isinstance(axis, int) else axis
    axes = tuple(i for i in range(len(shape)) if i not in scaled)
    scale = module.param(SCALE, lambda key: jnp.sqrt(jnp.sum(direction**2, axis=axes, keepdims=True)))
    return normed(direction, scale)


def kernel_of(layer: Mapping[str, jax.Array]) -> jax.Array:
    """The kernel of a layer's parameters: its own one, or that of its direction and scale."""
    return layer[KERNEL] if KERNEL in layer else normed(layer[DIRECTION], layer[SCALE])


def fold(params: Any) -> Any:
    """Replaces every direction and scale by their kernel."""
    flat: dict[tuple[str, ...], Any] = flatten_dict(params)  # type: ignore[assignment]
    folded = {path: value for path, value in flat.items() if path[-1] not in (DIRECTION, SCALE)}
    layers = [path[:-1] for path in flat if path[-1] == DIRECTION]
    kernels = _kernels([(flat[*layer, DIRECTION], flat[*layer, SCALE]) for layer in layers])
    return unflatten_dict(folded | {(*layer, KERNEL): kernel for layer, kernel in zip(layers, kernels, strict=True)})


@jax.jit
def _kernels(pairs: list[tuple[jax.Array, jax.Array]]) -> list[jax.Array]:
    """The kernels of all pairs, in one jitted program: one at a time they take seconds to compile."""
    return [normed(*pair) for pair in pairs]
