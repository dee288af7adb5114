"""A small network that reads labels from frozen codes, and its accuracy on clips that it was not trained on.

Each level has its own embedding; those of a frame are added, a hidden layer sees five frames, and a linear layer
classifies each frame, or the mean over the frames of a clip. Every fold of a cross-validation trains its own network,
all at the same time, so that each clip is classified once, by a network that has not seen it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from codax.tokens import Vocabulary

_CONTEXT = 5  # frames
_PIECE = 64  # clips that are classified at once
_CHUNK = 8  # updates among which clips are sorted by length


@dataclasses.dataclass(frozen=True)
class Settings:
    """Size and training of a read-out.

    Attributes:
      width, hidden: channels of the embeddings and of the hidden layer.
      updates, batch: number of updates, and clips of one.
      learning_rate, weight_decay: of AdamW; the rate falls to 0 along a cosine.
      dropout: share of the embeddings' channels and of the hidden layer's that are 0 for a clip in training.
      seed: of the initial weights, the order of the clips and the dropout.
    """

    width: int = 32
    hidden: int = 64
    updates: int = 800
    batch: int = 32
    learning_rate: float = 0.02
    weight_decay: float = 0.05
    dropout: float = 0.3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Problem:
    """Codes and their labels.

    Attributes:
      codes: int32 [clips, frames, levels], of any value outside the mask.
      mask: bool [clips, frames].
      labels: int32 [clips], or [clips, frames] for a label of each frame; -1 = none.
      folds: int [clips], from 0: the fold that tests a clip.
      classes: number of labels.
      sizes: entries of each codebook.
    """

    codes: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    classes: int
    sizes: tuple[int, ...]


def cross_validated(problem: Problem, settings: Settings) -> np.ndarray:
    """Trains a read-out for each fold. Returns its predictions for the clips that the fold tests, like the labels."""
    folds = int(problem.folds.max()) + 1
    data, widths = _data(problem), _widths(problem.mask)
    key = jax.random.key(settings.seed)
    params = jax.vmap(lambda k: _initial(k, problem, settings))(jax.random.split(key, folds))
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(settings.learning_rate, settings.updates), weight_decay=settings.weight_decay
    )
    state = jax.vmap(optimizer.init)(params)
    update = _update(optimizer, settings.dropout)
    for step, rows in enumerate(_batches(problem, settings)):
        keys = jax.random.split(jax.random.fold_in(key, step), folds)
        params, state = update(params, state, data[int(widths[rows].max())], rows, keys)
    predictions = np.full_like(problem.labels, -1)
    for fold in range(folds):
        own, rows = jax.tree.map(lambda x, fold=fold: x[fold], params), np.flatnonzero(problem.folds == fold)
        rows = rows[np.argsort(widths[rows], kind="stable")]
        for start in range(0, len(rows), _PIECE):
            piece = rows[start : start + _PIECE]
            padded, width = np.pad(piece, (0, _PIECE - len(piece)), mode="edge"), int(widths[piece].max())
            values = np.asarray(_classified(own, data[width], padded))[: len(piece)]
            if problem.labels.ndim == 1:
                predictions[piece] = values
            else:
                predictions[piece, :width] = values
    return predictions


def _widths(mask: np.ndarray) -> np.ndarray:
    """Returns the frames to which each clip is padded, int [clips]: a few sizes, each of them compiled once."""
    longest = mask.shape[1]
    sizes = np.asarray(sorted({-(-longest // n) for n in (1, 2, 4, 8)}))
    return sizes[np.searchsorted(sizes, mask.sum(axis=1))]


def _data(problem: Problem) -> dict[int, tuple[jax.Array, ...]]:
    """Returns ids, mask and labels on the device, cut to each of the widths of the clips."""
    ids = Vocabulary(problem.sizes, special=()).encode(problem.codes * problem.mask[..., None])
    arrays = jax.device_put((ids, problem.mask, problem.labels))
    widths = set(_widths(problem.mask).tolist())
    return {width: tuple(x if x.ndim == 1 else x[:, :width] for x in arrays) for width in widths}


def _batches(problem: Problem, settings: Settings) -> np.ndarray:
    """Returns the training clips of each update, int [updates, folds, batch], in another order in every pass.

    The clips of an update have similar lengths, in all folds.
    """
    rng, folds = np.random.default_rng(settings.seed), int(problem.folds.max()) + 1
    count, chunks = settings.updates, -(-settings.updates // _CHUNK)
    needed, frames = chunks * _CHUNK * settings.batch, problem.mask.sum(axis=1)
    orders = []
    for fold in range(folds):
        part = np.flatnonzero(problem.folds != fold)
        order = np.concatenate([rng.permutation(part) for _ in range(-(-needed // len(part)))])[:needed]
        order = order.reshape(chunks, -1)
        order = np.take_along_axis(order, np.argsort(frames[order], axis=1, kind="stable"), axis=1)
        orders.append(order.reshape(-1, settings.batch))
    shuffled = np.concatenate([i * _CHUNK + rng.permutation(_CHUNK) for i in range(chunks)])
    return np.stack(orders, axis=1)[shuffled][:count]


def _initial(key: jax.Array, problem: Problem, settings: Settings) -> dict[str, jax.Array]:
    keys, inputs = jax.random.split(key, 3), _CONTEXT * settings.width
    return {
        "embedding": jax.random.normal(keys[0], (sum(problem.sizes), settings.width)),
        "hidden": jax.random.normal(keys[1], (inputs, settings.hidden)) / np.sqrt(inputs),
        "hidden_bias": jnp.zeros(settings.hidden),
        "out": jax.random.normal(keys[2], (settings.hidden, problem.classes)) / np.sqrt(settings.hidden),
        "out_bias": jnp.zeros(problem.classes),
    }


def _logits(
    params: Any, ids: jax.Array, mask: jax.Array, labels: jax.Array, key: jax.Array | None, dropout: float
) -> jax.Array:
    """Returns [batch, classes], or [batch, frames, classes] if the labels are those of frames."""
    keys = (None, None) if key is None else jax.random.split(key)
    x = jnp.sum(params["embedding"][ids], axis=-2) / np.sqrt(ids.shape[-1])
    x = _dropped(jnp.where(mask[..., None], x, 0.0), keys[0], dropout)
    side, frames = _CONTEXT // 2, x.shape[1]
    x = jnp.pad(x, ((0, 0), (side, side), (0, 0)))
    x = jnp.concatenate([x[:, i : i + frames] for i in range(_CONTEXT)], axis=-1)
    x = _dropped(jax.nn.gelu(x @ params["hidden"] + params["hidden_bias"]), keys[1], dropout)
    if labels.ndim == 1:
        x = jnp.sum(x * mask[..., None], axis=1) / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
    return x @ params["out"] + params["out_bias"]


def _dropped(x: jax.Array, key: jax.Array | None, share: float) -> jax.Array:
    """Drops channels of whole clips, which needs few random numbers."""
    if key is None:
        return x
    return x * jax.random.bernoulli(key, 1 - share, (len(x), 1, x.shape[2])) / (1 - share)


def _update(optimizer: optax.GradientTransformation, dropout: float) -> Any:
    def loss(params: Any, data: Any, rows: jax.Array, key: jax.Array) -> jax.Array:
        ids, mask, labels = (x[rows] for x in data)
        logits = _logits(params, ids, mask, labels, key, dropout)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
        return jnp.sum(losses * (labels >= 0)) / jnp.maximum(jnp.sum(labels >= 0), 1)

    def update(params: Any, state: Any, data: Any, rows: jax.Array, key: jax.Array) -> tuple[Any, Any]:
        updates, state = optimizer.update(jax.grad(loss)(params, data, rows, key), state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(jax.vmap(update, in_axes=(0, 0, None, 0, 0)), donate_argnums=(0, 1))


@jax.jit
def _classified(params: Any, data: Any, rows: jax.Array) -> jax.Array:
    ids, mask, labels = (x[rows] for x in data)
    return jnp.argmax(_logits(params, ids, mask, labels, None, 0.0), axis=-1)
