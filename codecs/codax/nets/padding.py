"""Padding of [batch, time, channels] along time: zeros, reflection or replication, offline and streaming.

Reflection follows EnCodec where a signal is too short to be reflected: it is first lengthened with zeros, which are
dropped again after the reflection.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

MODES = ("zeros", "reflect", "replicate")
_NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}


def pad_time(x: jax.Array, left: int, right: int, mode: str = "zeros") -> jax.Array:
    """Pads [batch, time, channels] by `left` and `right` samples."""
    if not left and not right:
        return x
    missing = max(0, max(left, right) - x.shape[1] + 1) if mode == "reflect" else 0
    x = jnp.pad(x, ((0, 0), (0, missing), (0, 0)))
    padded = jnp.pad(x, ((0, 0), (left, right), (0, 0)), mode=_NUMPY_MODES[mode])
    return padded[:, : padded.shape[1] - missing]


def continue_from(x: jax.Array, valid: jax.Array, mode: str) -> jax.Array:
    """Replaces what follows the first `valid` (int32 scalar) samples by the padding that `mode` would put there.

    Reflection needs as many samples before the end as it fills.
    """
    index = jnp.arange(x.shape[1])
    if mode == "zeros":
        return jnp.where((index < valid)[None, :, None], x, 0)
    source = 2 * (valid - 1) - index if mode == "reflect" else valid - 1
    return jnp.take(x, jnp.where(index < valid, index, jnp.maximum(source, 0)), axis=1)


def with_context(
    module: nn.Module, x: jax.Array, left: int, right: int = 0, mode: str = "zeros", valid: jax.Array | None = None
) -> jax.Array:
    """Puts `left` samples in front of `x` and `right` behind it.

    While the module is applied with `mutable=["stream"]`, what is in front is the end of the previous call's input,
    kept in the `stream` collection, and padding by `mode` at the first call. Otherwise it is padding.

    Args:
      valid: int32 scalar; only so many samples of `x` are signal, and padding by `mode` takes the place of the others.
    """
    if left == 0 and right == 0:
        return x
    streaming = module.is_mutable_collection("stream") and not module.is_initializing()
    if not streaming or left == 0:
        joined = pad_time(x, left, right, mode)
    else:
        context = module.variable("stream", "context", lambda: pad_time(x, left, 0, mode)[:, :left])
        before = context.value
        if mode == "replicate":
            # A session may hand in a state of zeros to begin with.
            started = module.variable("stream", "started", lambda: jnp.zeros((), jnp.bool_))
            before = jnp.where(started.value, before, x[:, :1])
            started.value = jnp.ones((), jnp.bool_)
        joined = jnp.concatenate([before, x], axis=1)
        context.value = joined[:, joined.shape[1] - left :]
        joined = pad_time(joined, 0, right, mode)
    return joined if valid is None else continue_from(joined, left + valid, mode)
