"""Stacked LSTM over [batch, time, channels] with an additive skip connection, as in EnCodec.

Gates are in PyTorch's order: input, forget, cell, output. PyTorch's two biases are merged into one.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

REVERSE = "_reverse"  # name suffix of the backward direction


def lstm(
    x: jax.Array, state: tuple[jax.Array, jax.Array], kernel: jax.Array, recurrent: jax.Array, bias: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """One LSTM layer.

    Args:
      x: [batch, time, in_channels].
      state: hidden and cell state before the first step, each [batch, channels].
      kernel: [in_channels, 4 * channels]; recurrent: [channels, 4 * channels]; bias: [4 * channels].

    Returns:
      [batch, time, channels] and the state after the last step.
    """

    def step(carry, projected):
        hidden, cell = carry
        gates = projected + hidden @ recurrent
        # Both functions are applied to all gates: in XLA, loops over slices take longer than the redundant work.
        i, f, _, o = jnp.split(jax.nn.sigmoid(gates), 4, axis=-1)
        cell = f * cell + i * jnp.split(jnp.tanh(gates), 4, axis=-1)[2]
        hidden = o * jnp.tanh(cell)
        return (hidden, cell), hidden

    # The input projection is not recurrent: one matrix product for all steps.
    state, outputs = jax.lax.scan(step, state, jnp.moveaxis(x @ kernel + bias, 1, 0))
    return jnp.moveaxis(outputs, 0, 1), state


class SkipLSTM(nn.Module):
    """x + LSTM(x), with the same number of channels; a mutable `stream` collection holds the state.

    A bidirectional LSTM concatenates the outputs of both directions in every layer, and x is added to each: twice the
    channels. It cannot stream.
    """

    layers: int = 2
    bidirectional: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        bound = channels**-0.5

        def init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return jax.random.uniform(key, shape, minval=-bound, maxval=bound)  # as in PyTorch

        streaming = self.is_mutable_collection("stream") and not self.is_initializing()

        def direction(y: jax.Array, suffix: str) -> jax.Array:
            kernel = self.param(f"kernel{suffix}", init, (y.shape[-1], 4 * channels))
            recurrent = self.param(f"recurrent{suffix}", init, (channels, 4 * channels))
            bias = self.param(f"bias{suffix}", init, (4 * channels,))
            y, kernel, recurrent, bias = nn.dtypes.promote_dtype(y, kernel, recurrent, bias, dtype=self.dtype)
            zeros = jnp.zeros((x.shape[0], channels), y.dtype)
            state = (zeros, zeros)
            if streaming and not self.bidirectional:
                carried = self.variable("stream", f"state{suffix}", lambda: state)
                y, carried.value = lstm(y, carried.value, kernel, recurrent, bias)
            else:
                y, _ = lstm(y, state, kernel, recurrent, bias)
            return y

        y = x
        for i in range(self.layers):
            if self.bidirectional:
                back = direction(y[:, ::-1], f"{i}{REVERSE}")[:, ::-1]
                y = jnp.concatenate([direction(y, str(i)), back], axis=-1)
            else:
                y = direction(y, str(i))
        return (jnp.concatenate([x, x], axis=-1) if self.bidirectional else x) + y
