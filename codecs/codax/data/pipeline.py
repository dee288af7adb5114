"""Batches for training and validation, made with Grain.

A file counts as many times as segments fit into it, so that every second of audio is equally likely; each time it gives
a crop from a random place. The order is a shuffle that is decided by the seed alone; processes take disjoint shares of
it, and the number of threads changes nothing. An iterator's state (`get_state`, `set_state`; Orbax saves it) is its
position: a restored iterator goes on with the very same batches.
"""

from __future__ import annotations

import logging
from typing import Any

import grain
import numpy as np

from codax.config import Config
from codax.data import noise, transforms
from codax.data.sources import Source, open_source
from codax.errors import CodaxError

Batch = dict[str, np.ndarray]
_READ_ATTEMPTS = 8
_log = logging.getLogger(__name__)


class Windows:
    """Random access to the places where segments can be cut: item i is the index of the example that holds window i."""

    def __init__(self, source: Source, samples: int):
        counts = [max(1, round(source.frames(i) / samples)) for i in range(len(source))]
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> int:
        return int(np.searchsorted(self._ends, int(index), side="right"))


class Cropper:
    """Makes a training example of an example's index and a random generator."""

    def __init__(self, config: Config, source: Source, noise_source: Source | None, *, random_gain: bool = True):
        self._source, self._noise = source, noise_source
        self._noise_windows = Windows(noise_source, config.segment_samples) if noise_source is not None else None
        self._data = config.data
        self._gain_db = config.data.gain_db if random_gain else (0.0, 0.0)
        self._samples, self._channels = config.segment_samples, config.model.audio_channels
        self._rate = config.model.sample_rate
        self._warned: set[int] = set()

    def __call__(self, index: int, rng: np.random.Generator) -> Batch:
        """{"audio": [samples, channels]}, and with a noise source {"audio": noisy, "clean": clean}."""
        crop = transforms.fit_channels(self._crop(self._source, index, rng), self._channels)
        crop = transforms.fit_length(crop, self._samples)
        gain = transforms.decibels(rng.uniform(*self._gain_db))
        if not self._data.noise_source:
            if self._data.normalize_peak:
                crop = transforms.normalize_peak(crop)
            return {"audio": np.ascontiguousarray(crop * gain, np.float32)}
        noisy, clean = transforms.mix(crop, self._noise_crop(rng), rng.uniform(*self._data.noise_gain_db))
        return {"audio": np.ascontiguousarray(noisy * gain), "clean": np.ascontiguousarray(clean * gain)}

    def _crop(self, source: Source, index: int, rng: np.random.Generator) -> np.ndarray:
        """A random place of one example; of a following example where that one has become unreadable."""
        for attempt in range(_READ_ATTEMPTS):
            at = (index + attempt) % len(source)
            room = source.frames(at) - self._samples
            start = int(rng.integers(0, room + 1)) if room > 0 else 0
            try:
                return source.read(at, start, self._samples)
            except CodaxError as error:
                if at not in self._warned:
                    self._warned.add(at)
                    _log.warning("skipped while training (%d so far): %s", len(self._warned), error)
        raise CodaxError(f"{source.spec}: {_READ_ATTEMPTS} files in a row can no longer be read; has the folder gone?")

    def _noise_crop(self, rng: np.random.Generator) -> np.ndarray:
        if self._noise is None or self._noise_windows is None:
            one = noise.synthetic(rng, self._samples, self._rate)[:, None]
            return transforms.fit_channels(one, self._channels)
        index = self._noise_windows[rng.integers(len(self._noise_windows))]
        crop = transforms.fit_channels(self._crop(self._noise, index, rng), self._channels)
        return transforms.loop(crop, self._samples) if len(crop) else transforms.fit_length(crop, self._samples)


def _open(config: Config, split: str, *, random_gain: bool) -> tuple[Source, Cropper]:
    rate = config.model.sample_rate
    source = open_source(config.data.source, sample_rate=rate, split=split, config=config.data)
    noise_source = None
    if config.data.noise_source and config.data.noise_source != noise.SPEC:
        noise_source = open_source(config.data.noise_source, sample_rate=rate, split=split, config=config.data)
    return source, Cropper(config, source, noise_source, random_gain=random_gain)


def training_batches(
    config: Config,
    *,
    batch_size_per_process: int,
    split: str = "train",
    process_index: int = 0,
    process_count: int = 1,
    seed: int | None = None,
) -> grain.DatasetIterator[Batch]:
    """An endless iterator of {"audio": float32 [batch, samples, channels]}.

    With `data.noise_source` the batches are {"audio": noisy, "clean": clean}, both of that shape.

    Args:
      config: `data`, `model` (rate and channels) and `train.segment_seconds` are used.
      batch_size_per_process: examples in each batch.
      split: of the source.
      process_index: of this process.
      process_count: processes that share the data; each gets its own part.
      seed: decides everything; None = `config.seed`.

    Raises:
      CodaxError: the source is missing or empty, or too small for the number of processes.
    """
    source, cropper = _open(config, split, random_gain=True)
    source.hold(config.data.memory_mb)
    windows = Windows(source, config.segment_samples)
    each = len(windows) // process_count  # the same for all, so that epochs stay in step
    if each == 0:
        raise CodaxError(f"{config.data.source}: {len(windows)} segments are too few for {process_count} processes")
    _log.info("%s: %d examples, %.2f h, %d segments", source.spec, len(source), source.seconds / 3600, len(windows))
    dataset = (
        grain.MapDataset.source(windows)
        .seed(config.seed if seed is None else seed)
        .shuffle()[process_index : each * process_count : process_count]
        .repeat()
        .random_map(cropper)
        .batch(batch_size_per_process, drop_remainder=True)
    )
    # Batches are put together before the threads take over: Grain's cost per element is then paid per batch.
    ahead = max(2, -(-config.data.prefetch // batch_size_per_process))
    options = grain.ReadOptions(num_threads=max(1, config.data.read_threads), prefetch_buffer_size=ahead)
    return iter(dataset.to_iter_dataset(options))


def validation_batches(
    config: Config,
    *,
    batch_size_per_process: int,
    num_batches: int | None = None,
    split: str = "validation",
    process_index: int = 0,
    process_count: int = 1,
) -> list[Batch]:
    """Fixed crops, the same at every call: `num_batches` (`train.eval_batches`) batches shaped as in training.

    The crops are spread evenly over the split's audio, are not scaled at random, and do not depend on the number of
    processes among which they are dealt.

    Raises:
      CodaxError: as `training_batches`.
    """
    source, cropper = _open(config, split, random_gain=False)
    windows = Windows(source, config.segment_samples)
    count = config.train.eval_batches if num_batches is None else num_batches
    total = count * batch_size_per_process * process_count
    examples = [
        cropper(windows[k * len(windows) // total], np.random.default_rng((config.data.split_seed, k)))
        for k in range(process_index, total, process_count)
    ]
    return [
        {key: np.stack([example[key] for example in examples[i : i + batch_size_per_process]]) for key in examples[0]}
        for i in range(0, len(examples), batch_size_per_process)
    ]
