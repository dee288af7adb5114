"""The language model of codes in integers: frequencies for entropy coding that are equal on every machine.

Whole sequences (to encode) and frame by frame (to decode), many blocks side by side, give the same bits: see
`lm.fixedpoint` for why.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.entropy import rans
from codax.lm import fixedpoint as fx
from codax.lm.config import LMConfig

Cache = dict[str, jax.Array]


def digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Eight bytes that identify a model."""
    found = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        found.update(f"{name}{np.shape(value)}".encode())
        found.update(np.ascontiguousarray(value, "<i4").tobytes())
    return found.digest()[:8]


def _split(x: jax.Array, heads: int) -> jax.Array:
    """[batch, time, dim] -> [batch, heads, time, dim / heads]."""
    return jnp.moveaxis(x.reshape(*x.shape[:-1], heads, -1), 2, 1)


def _with_past(past: jax.Array | None, front: jax.Array, new: jax.Array, first: jax.Array) -> jax.Array:
    """Keys or values [batch, heads, 1 + frames, width]: `front`, then the frames', the new ones from `first` on."""
    if past is None:
        return jnp.concatenate([front, new], axis=2)
    past = jax.lax.dynamic_update_slice_in_dim(past, front, 0, 2)
    return jax.lax.dynamic_update_slice_in_dim(past, new, 1 + first, 2)


def run(
    config: LMConfig, arrays: Mapping[str, Any], previous: jax.Array, first: jax.Array, cache: Cache | None
) -> tuple[jax.Array, Cache]:
    """Weights of the next codes.

    Args:
      config: of the model.
      arrays: of `lm.quantize`.
      previous: int32 [batch, time, codebooks], 1 + the codes of the frame before each; 0 where there is none.
      first: int32, number of the first frame.
      cache: keys and values of the frames before, [batch, heads, 1 + frames, width]; None for a whole sequence, which
        begins with frame 0.

    Returns:
      int32 [batch, time, codebooks, codebook_size] >= 0, in proportion to the probabilities, at most 1 << EXP2_BITS;
      and the new cache.
    """
    batch, time, count = previous.shape
    frames = first + jnp.arange(time)
    x = arrays["embedding"][jnp.arange(count), previous].sum(axis=-2)
    x = fx.layer_norm(x, arrays["norm_in.scale"], arrays["norm_in.bias"])
    nothing = jnp.zeros((batch, 1, config.dim), jnp.int32)
    x = fx.clip(x + jax.lax.dynamic_slice_in_dim(arrays["positions"], first, time))
    past: Cache = cache or {}
    new: Cache = {}
    for i in range(config.layers):
        layer = {k.removeprefix(f"layer{i}."): v for k, v in arrays.items() if k.startswith(f"layer{i}.")}

        def dense(name: str, y: jax.Array, layer=layer) -> jax.Array:
            return fx.dense(y, layer[f"{name}.kernel"], layer[f"{name}.bias"], layer[f"{name}.places"])

        def heads(name: str, y: jax.Array, largest: int, dense=dense) -> jax.Array:
            found = fx.clip(dense(name, y), largest)
            return _split(found, config.heads).astype(jnp.float32)

        queries = heads("queries", x, fx.LARGEST_QUERY)
        # The frame in front of the first one, to which zeros go in and biases come out, has the first place.
        keys, values = (
            _with_past(past.get(f"{name}{i}"), heads(name, nothing, most), heads(name, x, most), first)
            for name, most in (("keys", fx.LARGEST_QUERY), ("values", fx.LARGEST))
        )
        new |= {f"keys{i}": keys, f"values{i}": values}
        age = frames[:, None] - (jnp.arange(keys.shape[2]) - 1)
        seen = (age >= 0) & (age <= config.past_context)
        scores = fx.shift(fx.dot("bhqd,bhkd->bhqk", queries, keys), layer["score_places"])
        weights = fx.attention_weights(scores, seen, arrays["exp2"])
        mixed = fx.shift(fx.dot("bhqk,bhkd->bhqd", weights, values), fx.WEIGHT_BITS)
        mixed = jnp.moveaxis(mixed, 1, 2).reshape(batch, time, config.dim)
        mixed = dense("out", fx.clip(mixed))
        x = fx.layer_norm(x + mixed, layer["norm1.scale"], layer["norm1.bias"])
        hidden = layer["gelu"][fx.clip(dense("dense1", x)) + fx.LARGEST]
        x = fx.layer_norm(x + dense("dense2", hidden), layer["norm2.scale"], layer["norm2.bias"])
    logits = fx.dense(x, arrays["head.kernel"], arrays["head.bias"], arrays["head.places"])
    logits = logits.reshape(batch, time, count, config.codebook_size)
    return fx.exp2(logits - logits.max(axis=-1, keepdims=True), arrays["exp2"]), new


class IntegerModel:
    """The model of `codax.entropy.coding`.

    Args:
      config: of the language model.
      arrays: of `lm.quantize`.
      codebooks: of each stream, the first ones.
      streams: coded side by side, each by itself.
    """

    def __init__(self, config: LMConfig, arrays: Mapping[str, np.ndarray], codebooks: int, streams: int) -> None:
        self.config, self.streams = config, streams
        self.codebooks = config.checked_codebooks(codebooks)
        self.digest = digest(arrays)
        self.most_frames = len(arrays["positions"])
        used = dict(arrays)
        used["embedding"] = used["embedding"][:codebooks]
        for name in ("kernel", "bias", "places"):
            used[f"head.{name}"] = used[f"head.{name}"][..., : codebooks * config.codebook_size]
        # As floats once and for all, where products want floats.
        floats = {k: v.astype(np.float32) if k.endswith(".kernel") else v for k, v in used.items()}
        self._arrays = jax.device_put(floats)
        self._run = jax.jit(functools.partial(run, config), donate_argnums=3)

    @property
    def columns(self) -> int:
        """Codes of a frame: streams times codebooks."""
        return self.streams * self.codebooks

    def start(self, lanes: int) -> IntegerState:
        """The state at the beginning of so many blocks."""
        return IntegerState(self, lanes)

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each code lies: starts and frequencies int64 [lanes, frames, columns], all frames at once."""
        lanes, frames, _ = codes.shape
        rows = np.moveaxis(codes.reshape(lanes, frames, self.streams, self.codebooks), 2, 1)
        rows = rows.reshape(lanes * self.streams, frames, self.codebooks)
        previous = np.pad(rows + 1, ((0, 0), (1, 0), (0, 0)))[:, :-1].astype(np.int32)
        found = np.zeros((2, *rows.shape), np.int64)
        for row in range(len(rows)):  # one by one: all weights of a block are a large array
            weights, _ = self._run(self._arrays, previous[row : row + 1], np.int32(0), None)
            cumulated = rans.cumulate(rans.quantize(np.asarray(weights[0])))
            found[:, row] = rans.locate(cumulated, rows[row])
        back = (2, lanes, self.streams, frames, self.codebooks)
        starts, frequencies = np.moveaxis(found.reshape(back), 2, 3).reshape(2, *codes.shape)
        return starts, frequencies


class IntegerState:
    """Keys and values of blocks that are decoded side by side."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._model, self._lanes = model, lanes
        c, rows = model.config, lanes * model.streams
        shape = (rows, c.heads, 1 + model.most_frames, c.dim // c.heads)
        self._cache: Cache = {
            f"{name}{i}": jnp.zeros(shape, jnp.float32) for name in ("keys", "values") for i in range(c.layers)
        }
        self._previous = np.zeros((rows, 1, model.codebooks), np.int32)
        self._frames = 0

    def cumulated(self) -> np.ndarray:
        """Cumulated frequencies of the next frame's codes: int64 [lanes, columns, symbols + 1]."""
        model = self._model
        weights, self._cache = model._run(model._arrays, self._previous, np.int32(self._frames), self._cache)
        frequencies = rans.quantize(np.asarray(weights)[:, 0])
        return rans.cumulate(frequencies.reshape(self._lanes, model.columns, -1))

    def push(self, codes: np.ndarray) -> None:
        """Takes a frame of codes, integers [lanes, columns]."""
        self._previous = np.asarray(codes, np.int32).reshape(len(self._previous), 1, -1) + 1
        self._frames += 1
