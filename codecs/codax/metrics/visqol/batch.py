"""Scores many pairs at once, in threads or on an accelerator.

For an accelerator, frames and patches of all pairs are packed into blocks of constant shape: one compiled program
serves all lengths, and the result of a pair does not depend on its batch. Double-precision and sequential steps (time
alignment, path search, ties) stay in threads of the host.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from threadpoolctl import threadpool_limits

from codax.metrics import nsim
from codax.metrics.visqol import frontend, score
from codax.metrics.visqol.errors import VisqolError
from codax.metrics.visqol.mapping import Mapping
from codax.metrics.visqol.steps import Levels, Search, Steps, run_alone
from codax.runtime import cores

_FRAMES = 1024  # per block of the filter bank
_OFFSETS = 256  # per patch in a block of the search
_PATCHES = 64  # per block of the search


def visqol_batch(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    sample_rate: int,
    *,
    mode: score.Mode = "speech",
    mapping: Mapping | None = None,
    models: str | Path | None = None,
    dtype: DTypeLike = np.float64,
    search_radius: int = 60,
    accelerator: bool | None = None,
    at_once: int = 32,
) -> Iterator[score.VisqolResult | VisqolError]:
    """Scores many pairs of signals; results equal those of `codax.metrics.visqol.visqol`.

    Args:
        pairs: (reference, degraded), each [time] or [time, channels] with full scale 1; consumed lazily.
        sample_rate, mode, mapping, models, dtype, search_radius: see `codax.metrics.visqol.visqol`.
        accelerator: compute on JAX's default device, in float32: scores then agree with those of float32 without it
            within 5e-6. None: if dtype is float32 and the device is not a CPU.
        at_once: number of pairs in memory.

    Yields:
        For every pair, in order, the result, or the error that prevented it.

    Raises:
        VisqolError: incompatible options.
    """
    begin, bank = score.scorer(mode, mapping, models, sample_rate, dtype, search_radius)
    single = bank.window.dtype == np.float32
    if accelerator and not single:
        raise VisqolError("an accelerator computes in float32, not float64")
    if accelerator is None:
        accelerator = single and jax.default_backend() != "cpu"
    return _scores(iter(pairs), begin, bank, _Device(bank) if accelerator else None, at_once)


def _scores(
    pairs: Iterator[tuple[ArrayLike, ArrayLike]],
    begin: Callable[[ArrayLike, ArrayLike], Steps[score.VisqolResult]],
    bank: frontend.FilterBank,
    device: _Device | None,
    at_once: int,
) -> Iterator[score.VisqolResult | VisqolError]:
    # Threads of the matrix products would compete with the threads of the pairs.
    with concurrent.futures.ThreadPoolExecutor(cores.usable()) as threads, threadpool_limits(1):
        while group := [begin(*pair) for pair in itertools.islice(pairs, at_once)]:
            if device is None:
                yield from threads.map(lambda steps: _alone(steps, bank), group)
            else:
                yield from _together(group, device, threads)


def _alone(steps: Steps[score.VisqolResult], bank: frontend.FilterBank) -> score.VisqolResult | VisqolError:
    try:
        return run_alone(steps, bank)
    except VisqolError as error:
        return error


def _together(
    comparisons: Sequence[Steps[score.VisqolResult]], device: _Device, threads: concurrent.futures.Executor
) -> list[score.VisqolResult | VisqolError]:
    """Runs several comparisons in lockstep."""
    results: dict[int, score.VisqolResult | VisqolError] = {}
    answers: dict[int, np.ndarray | None] = dict.fromkeys(range(len(comparisons)))

    def advance(index: int) -> Levels | Search | None:
        try:
            return comparisons[index].send(answers[index])  # pyright: ignore[reportArgumentType] (None begins)
        except StopIteration as done:
            results[index] = done.value
        except VisqolError as error:
            results[index] = error
        return None

    while answers:
        requests = dict(zip(answers, threads.map(advance, list(answers)), strict=True))
        levels = {index: request for index, request in requests.items() if isinstance(request, Levels)}
        search = {index: request for index, request in requests.items() if isinstance(request, Search)}
        answers = dict(zip(levels, device.levels(list(levels.values())), strict=True))
        answers |= dict(zip(search, device.search(list(search.values())), strict=True))
    return [results[index] for index in range(len(comparisons))]


class _Device:
    """Computes the requests of many comparisons in blocks."""

    def __init__(self, bank: frontend.FilterBank):
        self._bank = bank
        self._weights = jax.device_put((bank.window, bank.energy_weights, bank.ringing_weights))

    def levels(self, requests: Sequence[Levels]) -> list[np.ndarray]:
        """[bands, frames] for each request."""
        if not requests:
            return []
        frames = np.concatenate([request.frames.astype(np.float32) for request in requests])
        blocks = [frames[begin : begin + _FRAMES] for begin in range(0, len(frames), _FRAMES)]
        blocks = [_levels(_zero_padded(block, _FRAMES), *self._weights) for block in blocks]
        levels = np.concatenate([np.asarray(block) for block, _ in blocks], axis=1)[:, : len(frames)]
        inexact = np.flatnonzero(np.concatenate([np.asarray(mask) for _, mask in blocks])[: len(frames)])
        if len(inexact):
            levels[:, inexact] = frontend.band_levels(frames[inexact], self._bank)
        return np.split(levels, np.cumsum([len(request.frames) for request in requests])[:-1], axis=1)

    def search(self, requests: Sequence[Search]) -> list[np.ndarray]:
        """[patches, degraded frames] for each request."""
        results = [np.zeros((len(r.patches), r.degraded.shape[1]), np.float32) for r in requests]
        items, targets = [], []
        for result, request in zip(results, requests, strict=True):
            width = request.patches.shape[2]
            blocks = -(-result.shape[1] // _OFFSETS)
            padded = np.pad(request.degraded, ((0, 0), (0, blocks * _OFFSETS + width - 1 - result.shape[1])))
            for begin in range(0, result.shape[1], _OFFSETS):
                strip = padded[:, begin : begin + _OFFSETS + width - 1]
                for p in np.flatnonzero((request.first < begin + _OFFSETS) & (request.last >= begin)):
                    items.append((request.patches[p], strip))
                    targets.append(result[p, begin : begin + _OFFSETS])
        calls = []
        for i in range(0, len(items), _PATCHES):
            patches, strips = (np.stack(values) for values in zip(*items[i : i + _PATCHES], strict=True))
            calls.append(_search(_zero_padded(patches, _PATCHES), _zero_padded(strips, _PATCHES)))
        for target, values in zip(targets, (row for call in calls for row in np.asarray(call)), strict=False):
            target[:] = values[: len(target)]
        return results


def _zero_padded(values: np.ndarray, count: int) -> np.ndarray:
    """Pads `values` with zeros to `count` along the first axis."""
    return (
        np.pad(values, ((0, count - len(values)),) + ((0, 0),) * (values.ndim - 1)) if len(values) < count else values
    )


@jax.jit
def _levels(frames: jax.Array, window: jax.Array, energy: jax.Array, ringing: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See `frontend.band_levels`: levels [bands, frames], and bool [frames] for frames that need exact filtering."""
    block = frames * window
    spectrum = jnp.fft.rfft(block, n=2 * len(window), axis=1)
    dot = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    whole = dot(spectrum.real**2 + spectrum.imag**2, energy)
    rings = dot(block, ringing).reshape(*whole.shape, -1)
    inside = whole - (rings**2).sum(axis=-1)
    inexact = jnp.any(inside < frontend.LEAST_SHARE[np.dtype(np.float32)] * whole, axis=1)
    return jnp.sqrt(jnp.maximum(inside, 0) / len(window)).T, inexact


@jax.jit
def _search(patches: jax.Array, strips: jax.Array) -> jax.Array:
    """[items, offsets], similarity of patches [items, bands, frames] at every offset of strips [items, bands, time]."""
    return jax.vmap(_slide)(patches, strips)


def _slide(patch: jax.Array, strip: jax.Array) -> jax.Array:
    """[offsets] similarities of one patch; see `nsim.sliding_nsim`."""
    width = patch.shape[1]
    offsets = strip.shape[1] - width + 1
    reference = patch[:, :, None]
    degraded = jnp.stack(
        [strip[:, frame : frame + offsets] for frame in range(width)], axis=1
    )  # [bands, frames, offsets]
    mean_r, mean_d = _smooth(reference), _smooth(degraded)
    var_r = _smooth(reference * reference) - mean_r * mean_r
    var_d = _smooth(degraded * degraded) - mean_d * mean_d
    covariance = _smooth(reference * degraded) - mean_r * mean_d
    intensity = (2 * mean_r * mean_d + nsim.C1) / (mean_r * mean_r + mean_d * mean_d + nsim.C1)
    structure = (covariance + nsim.C3) / (jnp.sqrt(jnp.maximum(var_r * var_d, 0)) + nsim.C3)
    return (intensity * structure).mean(axis=(0, 1))


def _smooth(values: jax.Array) -> jax.Array:
    """See `nsim.smooth`; over the first two axes."""
    result = values
    for axis in (0, 1):
        padded = jnp.pad(result, [(int(a == axis),) * 2 for a in range(3)], mode="edge")
        count = result.shape[axis]
        before, behind = (jax.lax.slice_in_dim(padded, i, i + count, axis=axis) for i in (0, 2))
        result = nsim.SIDE * (before + behind) + nsim.MIDDLE * result
    return result + nsim.REST * values
