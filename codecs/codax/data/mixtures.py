"""Mixtures: training examples from one or several named sources (EnCodec, arXiv 2210.13438, section 4.1).

A strategy has a probability, a number of clips and a pool of sources. The strategies are interleaved deterministically,
in proportion to their probabilities. Each strategy goes through a shuffled epoch of all windows of its pool; a window
gives the first clip of an example, and the further clips come from windows of the pool drawn at random. Within a pool
every second of audio is thus equally likely, whichever source it belongs to. All processes share one sequence and take
its examples in turn.

The clips of an example share one room, if any. Each clip is scaled to the same peak (`data.normalize_peak`) and gets a
random gain of its own (`data.gain_db`). Gains are rejected and redrawn if the sum or a single clip would exceed full
scale. The clips are kept: rejecting them too would favour quiet ones.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import grain
import numpy as np

from codax.config import Config
from codax.data import transforms
from codax.data.crops import Crops, Windows
from codax.data.features import features_for
from codax.data.reverberation import Rooms, reverberate
from codax.data.sources.scan import Skipped
from codax.data.sources.spec import Source, open_source
from codax.errors import CodaxError

_GAIN_ATTEMPTS = 64
_log = logging.getLogger(__name__)


def open_sources(config: Config, split: str) -> tuple[Source, dict[str, range]]:
    """One source of all examples of `data.mixture.sources`, and the range of indices of each named source.

    Raises:
      CodaxError: a source cannot be opened; the message names it.
    """
    examples, places = [], {}
    rate = config.model.sample_rate
    for name, spec in config.data.mixture.specs.items():
        try:
            source = open_source(spec, sample_rate=rate, split=split, config=config.data)
        except CodaxError as error:
            raise CodaxError(f"data.mixture.sources {name}: {error}") from error
        places[name] = range(len(examples), len(examples) + len(source))
        examples.extend(source)
        _log.info("%s = %s: %d examples, %.2f h", name, source.spec, len(source), source.seconds / 3600)
    return Source(", ".join(config.data.mixture.sources), rate, examples, Skipped()), places


def mixed(config: Config, split: str, seed: int) -> tuple[grain.MapDataset[dict[str, np.ndarray]], list[Source]]:
    """The endless sequence of examples {"audio": float32 [samples, channels]}, and all sources it reads.

    Raises:
      CodaxError: as `open_sources`, or the source of impulse responses cannot be opened.
    """
    source, places = open_sources(config, split)
    source.hold(config.data.memory_mb // max(1, config.data.worker_processes))
    mixture = config.data.mixture
    crops, rooms = Crops(config, source, features_for(config, source), config.data.speed), Rooms(config)
    parts = []
    strategies = zip(mixture.counts, mixture.pools, mixture.reverberant, strict=True)
    for number, (count, pool, reverberant) in enumerate(strategies):
        examples = [index for name in mixture.members(pool) for index in places[name]]
        windows = Windows(source, config.segment_samples, examples)
        mixer = Mixer(config, crops, windows, count, rooms if reverberant else None)
        own_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        parts.append(grain.MapDataset.source(windows).seed(own_seed).shuffle().repeat().random_map(mixer))
    return grain.MapDataset.mix(parts, mixture.probabilities), [source, *([rooms.source] if rooms.source else [])]


class Mixer:
    """Makes the examples of one strategy, given the index of the first clip's example and a random generator.

    Args:
      config: `data` and the segment length are used.
      crops: reads crops of all sources.
      windows: of the strategy's pool.
      count: clips per example.
      rooms: None = no reverberation.
    """

    def __init__(self, config: Config, crops: Crops, windows: Windows, count: int, rooms: Rooms | None):
        self._data, self._crops, self._windows, self._count, self._rooms = config.data, crops, windows, count, rooms

    def __call__(self, first: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """{"audio": float32 [samples, channels]} within full scale, and "features" of the first clip if stored."""
        others = [self._windows[rng.integers(len(self._windows))] for _ in range(self._count - 1)]
        room = self._rooms.draw(rng) if self._rooms is not None else None
        clip, features = self._crops.with_features(first, rng)
        clips = [clip, *(self._crops(index, rng) for index in others)]
        if room is not None:
            clips = [reverberate(clip, room) for clip in clips]
        if self._data.normalize_peak:
            clips = [transforms.normalize_peak(clip) for clip in clips]
        more = {} if features is None else {"features": features}
        return {"audio": np.ascontiguousarray(add(clips, self._data.gain_db, rng), np.float32), **more}


def add(clips: Sequence[np.ndarray], gain_db: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """The sum of clips [time, channels] within full scale, each clip at a random gain, uniform in `gain_db`.

    If no drawn gains keep the sum within full scale, or the range is a single value, the sum is scaled to full scale.
    """
    peak, total = 0.0, clips[0]
    for _ in range(_GAIN_ATTEMPTS if gain_db[0] < gain_db[1] else 1):
        total = np.sum([clip * transforms.decibels(rng.uniform(*gain_db)) for clip in clips], axis=0)
        peak = float(np.abs(total).max())
        if peak <= 1.0:
            return total
    return total / np.float32(peak)
