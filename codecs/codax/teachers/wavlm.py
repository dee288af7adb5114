"""WavLM's addition to HuBERT's attention (arXiv 2110.13900, section 3.1): a gated relative position bias."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

EMBEDDING = "encoder.layers.0.attention.rel_attn_embed.weight"  # in the first layer, shared by all
_GATES = (2, 4)  # gates, and projections that are summed for each


def buckets(frames: int, count: int, furthest: int) -> np.ndarray:
    """Bucket numbers below `count` of the distances between frames: int [frames, frames].

    Half of the buckets are for keys after the query. In each half, the first half is for distances of 0, 1, 2, ...; the
    rest is logarithmic and ends at `furthest`.
    """
    distance = np.arange(frames) - np.arange(frames)[:, None]
    half, exact = count // 2, count // 4
    # In float32, as the weights were trained: rounding matters at some distances.
    far = np.log(np.maximum(np.abs(distance), 1).astype(np.float32) / exact) / math.log(furthest / exact)
    far = np.minimum((exact + far.astype(np.float32) * (half - exact)).astype(int), half - 1)
    return half * (distance > 0) + np.where(np.abs(distance) < exact, np.abs(distance), far)


def gated_bias(w: Mapping[str, Any], prefix: str, x: jax.Array, bias: jax.Array) -> jax.Array:
    """The position bias of one layer's attention scores.

    Args:
      w: weights.
      prefix: of the layer's attention in them.
      x: float [batch, frames, channels], the input of the attention.
      bias: float [heads, frames, frames], shared by all layers.

    Returns:
      float [batch, heads, frames, frames].
    """
    heads = bias.shape[0]
    split = x.reshape(*x.shape[:2], heads, -1)
    projected = split @ w[f"{prefix}.gru_rel_pos_linear.weight"].T + w[f"{prefix}.gru_rel_pos_linear.bias"]
    update, reset = jnp.moveaxis(jax.nn.sigmoid(projected.reshape(*split.shape[:3], *_GATES).sum(axis=-1)), -1, 0)
    scale = w[f"{prefix}.gru_rel_pos_const"].reshape(heads)
    gate = update * (reset * scale - 1) + 2  # [batch, frames, heads]
    return jnp.moveaxis(gate, 1, 2)[..., None] * bias
