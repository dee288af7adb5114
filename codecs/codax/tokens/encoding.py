"""Encodes the utterances of a part: as many at once as there are cores, or in batches of similar lengths."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from codax.codec.codec import Codec
from codax.codec.coder import as_one_batch
from codax.codec.tokens import Tokens
from codax.data.shards.parts import Convert, Reading, UnfitError
from codax.errors import CodaxError
from codax.runtime import cores
from codax.runtime.platforms import platform
from codax.runtime.tasks import in_order

BATCH_SAMPLES = 1 << 22  # of all clips that an accelerator encodes at once
LONG_SECONDS = 60.0  # a longer record fills an accelerator alone
_WINDOW = 8  # batches' samples, among whose clips similar lengths are found
_AHEAD_CPU, _AHEAD = 1024, 64  # utterances, as codes and as samples

Readings = Callable[[Convert], Iterable[Callable[[], Reading]]]


class Encoder:
    """Encodes utterances in threads; `with` ends the threads.

    On a CPU each thread reads an utterance and encodes it alone, block by block. For an accelerator threads read, and
    one at a time encodes: clips of similar lengths in batches of few shapes, and long records alone.
    """

    def __init__(self, codec: Codec, levels: int, workers: int | None):
        self._codec, self._levels = codec, levels
        self._is_cpu, self._stopping = platform() == "cpu", threading.Event()
        self._device = contextlib.nullcontext() if self._is_cpu else threading.Lock()
        _ = codec.engine.folded  # here once, since every thread of a cold engine would fold the weights
        self._workers = workers or cores.usable()
        self._pool = ThreadPoolExecutor(self._workers)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()  # a thread ends after the block that it encodes
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, readings: Readings) -> Iterator[Reading]:
        """Yields what the utterances gave, in order, with `Tokens` in the place of samples.

        Args:
          readings: `codax.data.shards.parts.readings` of a part, as a function of `convert`.
        """
        if self._is_cpu:
            tasks = readings(self._alone)
            yield from in_order(self._pool, tasks, running=self._workers + 1, ahead=_AHEAD_CPU)
            return
        read = in_order(self._pool, readings(self._held), running=_AHEAD, ahead=_AHEAD)
        window: list[Reading] = []
        size = 0
        for reading in read:
            window.append(reading)
            size += sum(value.size for _, _, value in reading.records if isinstance(value, np.ndarray))
            if size >= _WINDOW * BATCH_SAMPLES or len(window) >= 16 * _AHEAD:
                yield from self._batched(window)
                window, size = [], 0
        yield from self._batched(window)

    def _alone(self, samples: np.ndarray) -> Tokens:
        """Returns the tokens of a record [time, channels]."""
        return self._encode([self._with_channels(samples)])[0]

    def _held(self, samples: np.ndarray) -> np.ndarray | Tokens:
        """Returns the samples of a record for a batch, or the tokens of a long one, which would fill the memory."""
        if len(samples) > LONG_SECONDS * self._codec.config.model.sample_rate:
            return self._alone(samples)
        return self._with_channels(samples)

    def _batched(self, window: list[Reading]) -> Iterator[Reading]:
        places = [
            (reading, i)
            for reading in window
            for i, (_, _, value) in enumerate(reading.records)
            if isinstance(value, np.ndarray)
        ]
        places.sort(key=lambda place: len(_value(*place)))
        for group in grouped([len(_value(*place)) for place in places]):
            chosen = [places[i] for i in group]
            for (reading, i), tokens in zip(chosen, self._encode([_value(*place) for place in chosen]), strict=True):
                reading.records[i] = (*reading.records[i][:2], tokens)
        yield from window

    def _encode(self, clips: list[np.ndarray]) -> list[Tokens]:
        """Encodes clips, as a batch if there are several."""
        count, rate = len(clips), self._codec.config.model.sample_rate
        if as_one_batch(self._codec.engine, clips):
            # The clips of a batch are a power of two, so that few shapes are compiled: the last one is repeated.
            clips = [*clips, *itertools.repeat(clips[-1], (1 << (count - 1).bit_length()) - count)]
        with self._device:
            if self._stopping.is_set():
                raise CodaxError("interrupted")
            tokens = self._codec.encode(clips if count > 1 else clips[0], sample_rate=rate, num_quantizers=self._levels)
        return tokens.split()[:count]

    def _with_channels(self, samples: np.ndarray) -> np.ndarray:
        """Returns [time, the model's channels]: the mean for a mono model, and a mono recording in every channel."""
        channels = self._codec.config.model.audio_channels
        if channels == 1:
            return samples.mean(axis=1, keepdims=True, dtype=np.float32)
        if samples.shape[1] not in (1, channels):
            raise UnfitError(f"not of 1 or {channels} channels")
        return np.repeat(samples, channels, axis=1) if samples.shape[1] == 1 else samples


def _value(reading: Reading, i: int) -> Any:
    return reading.records[i][2]


def grouped(lengths: list[int]) -> Iterator[range]:
    """Divides clips, sorted by length in samples, into batches.

    A batch has at most `BATCH_SAMPLES` samples with its padding, and its longest clip is less than twice as long as its
    shortest.
    """
    start = 0
    for i, length in enumerate(lengths):
        count = 1 << (i - start).bit_length()  # clips of the batch with this one, as a power of two
        if i > start and (count * length > BATCH_SAMPLES or length >= 2 * lengths[start]):
            yield range(start, i)
            start = i
    if lengths:
        yield range(start, len(lengths))
