"""Batches for training and validation, made with Grain.

A file counts as often as segments fit into it, so that every second of audio is equally likely; each time it gives a
crop from a random place. The seed alone decides the shuffled order. Processes take examples in turn, so that their
local batches together are the batch of a single process; the number of threads has no effect. The iterator's state
(`get_state`, `set_state`; saved by Orbax) is the number of batches taken: a restored iterator continues with exactly
the same batches for any number of processes (`codax.data.batches`).

Examples of several named sources (`data.mixture.sources`) are made by `codax.data.mixtures`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import grain
import numpy as np

from codax.config import Config
from codax.data import mixtures, noise, transforms
from codax.data.batches import Batch, Batches, DataIdentity
from codax.data.crops import Crops, Windows
from codax.data.features import features_for
from codax.data.reverberation import Rooms, reverberate
from codax.data.sources.spec import Source, open_source
from codax.storage.digests import sha256

_log = logging.getLogger(__name__)


class Identified(Protocol):
    """A list of examples, and a hash of it."""

    def __len__(self) -> int: ...

    def digest(self) -> str: ...


class Cropper:
    """Makes an example of one clip from its index and a random generator.

    Args:
      config: `data`, `model` (rate and channels) and `train.segment_seconds` are used.
      source: the clips.
      noise_source: noise recordings; None = synthetic noise if `data.noise_source` is set.
      training: False disables random speed, gain and reverberation.
    """

    def __init__(self, config: Config, source: Source, noise_source: Source | None, *, training: bool = True):
        features = features_for(config, source) if training else None
        self._crops = Crops(config, source, features, config.data.speed if training else (1.0, 1.0))
        self._noise_crops = self._noise_windows = None
        if noise_source is not None:
            self._noise_crops = Crops(config, noise_source)
            self._noise_windows = Windows(noise_source, config.segment_samples)
        self._data = config.data
        self._gain_db = config.data.gain_db if training else (0.0, 0.0)
        self._rooms = Rooms(config) if training and config.data.mixture.reverberation > 0.0 else None
        self._samples, self._channels = config.segment_samples, config.model.audio_channels
        self._rate = config.model.sample_rate

    @property
    def sources(self) -> list[Source]:
        """The sources of noise and impulse responses in use."""
        sources = [self._noise_crops and self._noise_crops.source, self._rooms and self._rooms.source]
        return [source for source in sources if source is not None]

    def __call__(self, index: int, rng: np.random.Generator) -> Batch:
        """{"audio": [samples, channels]}, or {"audio": noisy, "clean": clean} with a noise source.

        With precomputed teacher features also {"features": [frames, channels]}, of the clean audio.
        """
        crop, features = self._crops.with_features(index, rng)
        more = {} if features is None else {"features": features}
        if self._rooms is not None and (room := self._rooms.draw(rng)) is not None:
            crop = reverberate(crop, room)
        gain = transforms.decibels(rng.uniform(*self._gain_db))
        if not self._data.noise_source:
            if self._data.normalize_peak:
                crop = transforms.normalize_peak(crop)
            return {"audio": np.ascontiguousarray(crop * gain, np.float32), **more}
        noisy, clean = transforms.mix(crop, self._noise_crop(rng), rng.uniform(*self._data.noise_gain_db))
        return {"audio": np.ascontiguousarray(noisy * gain), "clean": np.ascontiguousarray(clean * gain), **more}

    def _noise_crop(self, rng: np.random.Generator) -> np.ndarray:
        if self._noise_crops is None or self._noise_windows is None:
            generated = noise.synthetic(rng, self._samples, self._rate)[:, None]
            return transforms.fit_channels(generated, self._channels)
        index = self._noise_windows[rng.integers(len(self._noise_windows))]
        crop = self._noise_crops.at_most(index, rng)
        return transforms.loop(crop, self._samples) if len(crop) else transforms.fit_length(crop, self._samples)


def _open(config: Config, split: str, *, training: bool) -> tuple[Source, Cropper]:
    """The examples (of all named sources, if any) and the cropper that reads them as single clips."""
    rate = config.model.sample_rate
    if config.data.mixture.sources:
        source, _ = mixtures.open_sources(config, split)
    else:
        source = open_source(config.data.source, sample_rate=rate, split=split, config=config.data)
    noise_source = None
    if config.data.noise_source and config.data.noise_source != noise.SPEC:
        noise_source = open_source(config.data.noise_source, sample_rate=rate, split=split, config=config.data)
    return source, Cropper(config, source, noise_source, training=training)


def _single(config: Config, split: str, seed: int) -> tuple[grain.MapDataset[Batch], list[Source]]:
    """The endless sequence of single-clip examples, and all sources it reads."""
    source, cropper = _open(config, split, training=True)
    source.hold(config.data.memory_mb // max(1, config.data.worker_processes))
    windows = Windows(source, config.segment_samples)
    _log.info("%s: %d examples, %.2f h, %d segments", source.spec, len(source), source.seconds / 3600, len(windows))
    shuffled = grain.MapDataset.source(windows).seed(seed).shuffle()
    # The slice keeps every example; it stays because the random generators of the following stages depend on it.
    return shuffled[0 : len(windows) : 1].repeat().random_map(cropper), [source, *cropper.sources]


def training_batches(
    config: Config,
    *,
    batch_size_per_process: int,
    split: str = "train",
    process_index: int = 0,
    process_count: int = 1,
    seed: int | None = None,
) -> Batches:
    """An endless iterator of {"audio": float32 [batch, samples, channels]}.

    With `teacher.source` "precomputed" and distillation the batches also have {"features": float32 [batch, frames,
    channels]}. With `data.noise_source` the batches are {"audio": noisy, "clean": clean}, both of that shape. With
    `data.mixture.sources` they are mixtures, see `codax.data.mixtures`.

    Args:
      config: `data`, `model` (rate and channels) and `train.segment_seconds` are used.
      batch_size_per_process: examples in each batch.
      split: of the source.
      process_index: of this process.
      process_count: processes that share the data; each gets its own part.
      seed: of all random choices; None = `config.seed`.

    Raises:
      CodaxError: the source is missing or empty.
    """
    seed = config.seed if seed is None else seed
    sequence = mixtures.mixed if config.data.mixture.sources else _single
    examples, sources = sequence(config, split, seed)
    return shared_batches(config, examples, sources, batch_size_per_process, process_index, process_count)


def shared_batches(
    config: Config,
    examples: grain.MapDataset[Batch],
    sources: Sequence[Identified],
    batch_size_per_process: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Returns the resumable batches of an endless sequence of examples, which is read from these sources."""
    # Processes take batches in turn: together they form the batch of a single process, in the same order.
    dataset = examples.batch(batch_size_per_process, drop_remainder=True)[process_index::process_count]
    # Examples are batched before the read-ahead threads, so that Grain's overhead per element is paid once per batch.
    ahead = max(2, -(-config.data.prefetch // batch_size_per_process))
    options = grain.ReadOptions(num_threads=config.data.read_threads, prefetch_buffer_size=ahead)
    digest = sha256(*(source.digest() for source in sources)).hexdigest()[:16]
    identity = DataIdentity(sum(map(len, sources)), digest, batch_size_per_process * process_count)
    workers, accept = config.data.worker_processes, config.data.accept_changes
    return Batches(dataset, options, identity, workers=workers, accept_changes=accept)


def validation_batches(config: Config, *, batch_size_per_process: int, num_batches: int | None = None) -> list[Batch]:
    """Fixed crops, identical at every call: `num_batches` (`train.eval_batches`) batches shaped as in training.

    The crops are single clips, evenly spaced over the validation split (of all named sources, if any). They get no
    random gain or reverberation.

    Raises:
      CodaxError: as `training_batches`.
    """
    source, cropper = _open(config, "validation", training=False)
    return fixed_batches(config, Windows(source, config.segment_samples), cropper, batch_size_per_process, num_batches)


def fixed_batches(
    config: Config,
    windows: Windows,
    example: Callable[[int, np.random.Generator], Batch],
    batch_size: int,
    num_batches: int | None = None,
) -> list[Batch]:
    """Returns `num_batches` (`train.eval_batches`) batches of evenly spaced windows, the same at every call."""
    count = config.train.eval_batches if num_batches is None else num_batches
    total = count * batch_size
    examples = [
        example(windows[k * len(windows) // total], np.random.default_rng((config.data.split_seed, k)))
        for k in range(total)
    ]
    return [
        {key: np.stack([each[key] for each in examples[i : i + batch_size]]) for key in examples[0]}
        for i in range(0, total, batch_size)
    ]
