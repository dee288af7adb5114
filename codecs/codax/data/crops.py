"""Crops of a source: enumerates the segments that can be cut from it, and reads one at a random place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from codax.audio import resample
from codax.config import Config
from codax.data import transforms
from codax.data.features import Features
from codax.data.sources.spec import Source
from codax.errors import CodaxError

_READ_ATTEMPTS = 8
_EDGE = 64  # samples at each end of a resampled crop that the cut affects
# Speeds are multiples of 1 / _SPEED_STEPS: soxr builds a filter per phase, so rates without a large common factor take
# two to five times as long.
_SPEED_STEPS = 200
_log = logging.getLogger(__name__)


class Lengths(Protocol):
    """A list of examples whose lengths are known."""

    def __len__(self) -> int: ...

    def frames(self, index: int) -> int: ...


class Windows:
    """Random access to the segments of a source: item i is the index of the example that holds segment i.

    Args:
      source: the examples.
      samples: length of a segment.
      examples: indices of the examples to cut from; None = all.
    """

    def __init__(self, source: Lengths, samples: int, examples: Sequence[int] | None = None):
        self._examples = range(len(source)) if examples is None else examples
        counts = [max(1, round(source.frames(i) / samples)) for i in self._examples]
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> int:
        return int(self._examples[int(np.searchsorted(self._ends, int(index), side="right"))])


class Crops:
    """Reads crops of `config.segment_samples` from random places of the examples of `source`.

    Args:
      config: `model` and `train.segment_seconds` are used.
      source: the examples.
      features: stored teacher features to read for the same time span; crops then start at a frame of the codec.
      speed: range of random playback speeds, which also shift the pitch (Ko et al., "Audio augmentation for speech
        recognition", Interspeech 2015).
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        features: Features | None = None,
        speed: tuple[float, float] = (1.0, 1.0),
    ):
        self.source, self._features = source, features
        self._rate, self._speed = config.model.sample_rate, speed
        self._samples, self._channels = config.segment_samples, config.model.audio_channels
        self._step = config.hop if features is not None else 1
        self._warned: set[int] = set()

    def __call__(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """A crop [segment_samples, channels] of one example, padded with zeros if the example is shorter."""
        return transforms.fit_length(self.at_most(index, rng), self._samples)

    def at_most(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """A crop [time, channels] of one example, at most `segment_samples` long.

        If the example can no longer be read, the crop comes from the next example that can.

        Raises:
          CodaxError: too many examples in a row cannot be read.
        """
        return self._cut(index, rng)[0]

    def with_features(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """As `__call__`, with the teacher features [frames, channels] of the same time span (None without features)."""
        crop, features = self._cut(index, rng)
        return transforms.fit_length(crop, self._samples), features

    def _cut(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        for attempt in range(_READ_ATTEMPTS):
            at = (index + attempt) % len(self.source)
            read_rate, samples, edge = self._rate, self._samples, 0
            if self._speed != (1.0, 1.0):
                step = max(1, self._rate // _SPEED_STEPS)
                read_rate, edge = step * round(self._rate * rng.uniform(*self._speed) / step), _EDGE
                samples = -(-(samples + 2 * edge) * read_rate // self._rate)
            room = self.source.frames(at) - samples
            start = self._step * int(rng.integers(0, room // self._step + 1)) if room > 0 else 0
            try:
                crop = transforms.fit_channels(self.source.read(at, start, samples), self._channels)
                crop = resample(crop, read_rate, self._rate)[edge : edge + self._samples]
                if self._features is None:
                    return crop, None
                frames = -(-self._samples // self._step)
                return crop, self._features.read(self.source[at], start // self._step, frames)
            except CodaxError as error:
                if at not in self._warned:
                    self._warned.add(at)
                    _log.warning("skipped while training (%d so far): %s", len(self._warned), error)
        spec = self.source.spec
        raise CodaxError(f"{spec}: {_READ_ATTEMPTS} files in a row cannot be read; has the folder been removed?")
