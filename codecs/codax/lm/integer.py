"""The language model of codes in integer arithmetic: identical frequencies for entropy coding on every machine.

Complete sequences (encoding) and single frames (decoding), for many blocks in parallel, give the same bits; see
`lm.fixedpoint`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.entropy import rans
from codax.lm import fixedpoint as fx
from codax.lm.config import LMConfig
from codax.runtime.compilation import padded_size
from codax.storage.digests import sha256

Cache = dict[str, jax.Array]
_LEAST_FRAMES = 64  # that shorter blocks are padded to
_LARGEST = {"queries": fx.LARGEST_QUERY, "keys": fx.LARGEST_QUERY, "values": fx.LARGEST}


def digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Eight bytes that identify a model."""
    named = ((f"{name}{np.shape(value)}", np.asarray(value, "<i4")) for name, value in sorted(arrays.items()))
    return sha256(*itertools.chain.from_iterable(named)).digest()[:8]


def _split(x: jax.Array, heads: int) -> jax.Array:
    """[batch, time, dim] -> [batch, heads, time, dim / heads]."""
    return jnp.moveaxis(x.reshape(*x.shape[:-1], heads, -1), 2, 1)


def _layer(arrays: Mapping[str, Any], number: int) -> dict[str, Any]:
    prefix = f"layer{number}."
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _front(config: LMConfig, layer: Mapping[str, Any], name: str) -> jax.Array:
    """Keys or values float32 [1, heads, 1, width] before the first frame: the biases, as their input is zero."""
    bias = fx.clip(fx.shift(jnp.asarray(layer[f"{name}.bias"]), layer[f"{name}.places"]), _LARGEST[name])
    return _split(bias[None, None], config.heads).astype(jnp.float32)


def _attend(
    arrays: Mapping[str, Any],
    places: jax.Array,
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    seen: jax.Array,
) -> jax.Array:
    """Attention of queries [batch, heads, time, width] to keys and values [batch, heads, size, width].

    Args:
      places: shift of the scores, in bits.
      seen: bool [time, size].

    Returns:
      int32 [batch, heads, time, width].
    """
    scores = fx.shift(fx.dot("bhqd,bhkd->bhqk", queries, keys), places)
    weights = fx.attention_weights(scores, seen, arrays["exp2"])
    return fx.shift(fx.dot("bhqk,bhkd->bhqd", weights, values), fx.WEIGHT_BITS)


def _network(
    config: LMConfig,
    arrays: Mapping[str, Any],
    previous: jax.Array,
    positions: jax.Array,
    attention: Callable[..., jax.Array],
) -> jax.Array:
    """Weights of the next codes, see `whole`; `attention` takes layer, layer number, queries, keys and values."""
    batch, time, count = previous.shape
    x = arrays["embedding"][jnp.arange(count), previous].sum(axis=-2)
    x = fx.layer_norm(x, arrays["norm_in.scale"], arrays["norm_in.bias"])
    x = fx.clip(x + positions)
    for i in range(config.layers):
        layer = _layer(arrays, i)

        def dense(name: str, y: jax.Array, layer=layer) -> jax.Array:
            return fx.dense(y, layer[f"{name}.kernel"], layer[f"{name}.bias"], layer[f"{name}.places"])

        def heads(name: str, dense=dense, x=x) -> jax.Array:
            return _split(fx.clip(dense(name, x), _LARGEST[name]), config.heads).astype(jnp.float32)

        mixed = attention(layer, i, heads("queries"), heads("keys"), heads("values"))
        mixed = jnp.moveaxis(mixed, 1, 2).reshape(batch, time, config.dim)
        x = fx.layer_norm(x + dense("out", fx.clip(mixed)), layer["norm1.scale"], layer["norm1.bias"])
        hidden = layer["gelu"][fx.clip(dense("dense1", x)) + fx.LARGEST]
        x = fx.layer_norm(x + dense("dense2", hidden), layer["norm2.scale"], layer["norm2.bias"])
    logits = fx.dense(x, arrays["head.kernel"], arrays["head.bias"], arrays["head.places"])
    logits = logits.reshape(batch, time, count, config.codebook_size)
    return fx.exp2(logits - logits.max(axis=-1, keepdims=True), arrays["exp2"])


@functools.partial(jax.jit, static_argnums=0)  # compiled once for all models of the same config
def whole(config: LMConfig, arrays: Mapping[str, Any], previous: jax.Array) -> jax.Array:
    """Weights of the next codes, for complete sequences.

    Args:
      config: of the model.
      arrays: of `lm.quantize`; a kernel may be a sequence of its parts.
      previous: int32 [batch, time, codebooks], 1 + the codes of the previous frame; 0 for the first frame.

    Returns:
      int32 [batch, time, codebooks, codebook_size] >= 0, proportional to the probabilities, at most 1 << EXP2_BITS.
    """
    batch, time, _ = previous.shape
    past = config.past_context

    def attention(layer: dict[str, Any], _: int, queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
        fronts = [jnp.repeat(_front(config, layer, name), batch, axis=0) for name in ("keys", "values")]
        keys, values = (jnp.concatenate(pair, axis=2) for pair in zip(fronts, (keys, values), strict=True))
        mixed = []
        for begin in range(0, time, past):  # `past` queries attend to at most twice as many keys
            end, oldest = min(begin + past, time), max(begin - past, -1)
            age = np.arange(begin, end)[:, None] - np.arange(oldest, end)
            seen = jnp.asarray((age >= 0) & (age <= past))
            part = slice(oldest + 1, end + 1)
            mixed.append(_attend(arrays, layer["score_places"], queries[:, :, begin:end], keys[:, :, part],
                                 values[:, :, part], seen))  # fmt: skip
        return jnp.concatenate(mixed, axis=2)

    return _network(config, arrays, previous, arrays["positions"][:time], attention)


def empty_cache(config: LMConfig, arrays: Mapping[str, Any], rows: int, frames: int) -> Cache:
    """The cache of `step` before the first of `frames` frames.

    Returns:
      Keys and values float32 [rows, heads, size, width]: ring buffers of the frames that the next frame attends to,
      including itself. Frame f is at index (f + 1) % size; index 0 initially holds the frame before the first.
    """
    cache: Cache = {}
    size = 1 + min(config.past_context, frames)
    for i in range(config.layers):
        for name in ("keys", "values"):
            front = jnp.repeat(_front(config, _layer(arrays, i), name), rows, axis=0)
            cache[f"{name}{i}"] = jnp.pad(front, ((0, 0), (0, 0), (0, size - 1), (0, 0)))
    return cache


@functools.partial(jax.jit, static_argnums=0, donate_argnums=4)
def step(
    config: LMConfig, arrays: Mapping[str, Any], previous: jax.Array, frame: jax.Array, cache: Cache
) -> tuple[jax.Array, Cache]:
    """`whole` for one frame, given its number and the cache of the previous frames; also returns the new cache.

    `previous` is int32 [batch, 1, codebooks]; the weights have the same leading axes.
    """
    new: Cache = {}

    def attention(layer: dict[str, Any], i: int, queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
        size = cache[f"keys{i}"].shape[2]
        for name, value in ((f"keys{i}", keys), (f"values{i}", values)):
            new[name] = jax.lax.dynamic_update_slice_in_dim(cache[name], value, (frame + 1) % size, 2)
        age = (frame + 1 - jnp.arange(size)) % size
        seen = (age <= frame + 1)[None]
        return _attend(arrays, layer["score_places"], queries, new[f"keys{i}"], new[f"values{i}"], seen)

    positions = jax.lax.dynamic_slice_in_dim(arrays["positions"], frame, 1)
    return _network(config, arrays, previous, positions, attention), new


class IntegerModel:
    """Integer implementation of `codax.entropy.coding.Model`.

    Args:
      config: of the language model.
      arrays: of `lm.quantize`.
      codebooks: number of codebooks of each stream; the first ones are used.
      streams: number of streams in a frame; they are modelled independently.
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
        # In the form that the matrix products use: floats, one array per part.
        kernels = {name: [*value.astype(np.float32)] for name, value in used.items() if name.endswith(".kernel")}
        self._arrays = jax.device_put(used | kernels)

    @property
    def columns(self) -> int:
        """Codes per frame: streams times codebooks."""
        return self.streams * self.codebooks

    def start(self, lanes: int) -> IntegerState:
        """The initial state of `lanes` blocks."""
        return IntegerState(self, lanes)

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start and frequency of each code, int64 [lanes, frames, columns] each, all frames at once.

        Blocks are padded to one of few lengths, each compiled once; nothing depends on later frames.
        """
        lanes, frames, _ = codes.shape
        rows = np.moveaxis(codes.reshape(lanes, frames, self.streams, self.codebooks), 2, 1)
        rows = rows.reshape(lanes * self.streams, frames, self.codebooks)
        more = min(padded_size(frames, _LEAST_FRAMES), self.most_frames) - frames
        previous = np.pad(rows[:, :-1] + 1, ((0, 0), (1, more), (0, 0))).astype(np.int32)
        located = np.zeros((2, *rows.shape), np.int64)
        for row in range(len(rows)):  # one at a time: the weights of a whole block are a large array
            weights = whole(self.config, self._arrays, previous[row : row + 1])
            cumulated = rans.cumulate(rans.quantize(np.asarray(weights)[0, :frames]))
            located[:, row] = rans.locate(cumulated, rows[row])
        split = (2, lanes, self.streams, frames, self.codebooks)
        starts, frequencies = np.moveaxis(located.reshape(split), 2, 3).reshape(2, *codes.shape)
        return starts, frequencies


class IntegerState:
    """Keys and values of blocks that are decoded in parallel, padded to one of few numbers of blocks."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._model, self._lanes, self._rows = model, lanes, lanes * model.streams
        rows = padded_size(self._rows)
        self._cache = empty_cache(model.config, model._arrays, rows, model.most_frames)
        self._previous = np.zeros((rows, 1, model.codebooks), np.int32)
        self._frames = 0

    def cumulated(self) -> np.ndarray:
        """Cumulative frequencies of the next frame's codes: int64 [lanes, columns, symbols + 1]."""
        model = self._model
        weights, self._cache = step(model.config, model._arrays, self._previous, np.int32(self._frames), self._cache)
        frequencies = rans.quantize(np.asarray(weights)[: self._rows, 0])
        return rans.cumulate(frequencies.reshape(self._lanes, model.columns, -1))

    def push(self, codes: np.ndarray) -> None:
        """Appends a frame of codes, integers [lanes, columns]."""
        self._previous[: self._rows] = np.asarray(codes, np.int32).reshape(self._rows, 1, -1) + 1
        self._frames += 1
