"""Padding of [batch, time, channels] along time: zeros, reflection or replication, offline and streaming.

A signal that is too short to be reflected is handled as in EnCodec: it is first extended with zeros, which are removed
after the reflection.
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
    """Replaces the samples after the first `valid` (int32 scalar) by the padding of `mode`.

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
    """Adds `left` samples before `x` and `right` after it.

    With `mutable=["stream"]`, the left samples are the end of the previous call's input, kept in the `stream`
    collection; in the first call, and without streaming, they are padding by `mode`.

    Args:
      module: owner of the `stream` variables.
      x: [batch, time, channels].
      left: samples before `x`.
      right: samples after `x`.
      mode: "zeros", "reflect" or "replicate".
      valid: int32 scalar; only that many samples of `x` are signal, and padding by `mode` replaces the others.
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
            # The initial state of a session may be all zeros.
            started = module.variable("stream", "started", lambda: jnp.zeros((), jnp.bool_))
            before = jnp.where(started.value, before, x[:, :1])
            started.value = jnp.ones((), jnp.bool_)
        joined = jnp.concatenate([before, x], axis=1)
        context.value = joined[:, joined.shape[1] - left :]
        joined = pad_time(joined, 0, right, mode)
    return joined if valid is None else continue_from(joined, left + valid, mode)
