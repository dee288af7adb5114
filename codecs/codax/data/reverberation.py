"""Reverberation with synthetic or recorded room impulse responses.

A synthetic room is a direct path followed by exponentially decaying Gaussian noise, independent in each channel. Its
RT60 (the time in which the sound level falls by 60 dB) and the noise level are drawn at random. Recorded responses are
those of `data.mixture.reverberation_source` whose measured RT60 lies in the range.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import scipy.signal

from codax.config import Config
from codax.data import transforms
from codax.data.sources.spec import open_source
from codax.errors import CodaxError

_DIRECT_DB = (0.0, 10.0)  # direct-to-reverberant energy ratio: from a few metres to an arm's length
_FIT_DB = (-25.0, -5.0)  # measured part of the decay: below the direct path, above the noise of a recording
_LONGEST = 10.0  # seconds read of a recorded response
_log = logging.getLogger(__name__)


def synthetic_response(rng: np.random.Generator, rt60: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """Impulse response of a synthetic room, float32 [round(rt60 * sample_rate), channels], direct path at tap 0.

    Args:
      rng: draws the noise and its level.
      rt60: seconds.
      sample_rate: Hz.
      channels: of the response.
    """
    taps = max(2, round(rt60 * sample_rate))
    tail = rng.standard_normal((taps, channels), np.float32)
    tail *= (10.0 ** (-3.0 / (rt60 * sample_rate) * np.arange(taps)))[:, None].astype(np.float32)
    tail[0] = 0.0
    energy = 10.0 ** (-rng.uniform(*_DIRECT_DB) / 10.0)
    response = tail * np.sqrt(energy / np.square(tail).sum(axis=0)).astype(np.float32)
    response[0] = 1.0
    return response


def reverberation_time(response: np.ndarray, sample_rate: int) -> float:
    """RT60 in seconds of an impulse response [taps, channels] by Schroeder's backward integration.

    The decay from -5 to -25 dB is extrapolated (T20 of ISO 3382). 0 where there is no such decay.
    """
    energy = np.square(response.astype(np.float64)).sum(axis=1)[::-1].cumsum()[::-1]
    if not len(energy) or energy[0] <= 0.0:
        return 0.0
    decibels = 10.0 * np.log10(np.maximum(energy / energy[0], 1e-12))
    inside = np.flatnonzero((decibels >= _FIT_DB[0]) & (decibels <= _FIT_DB[1]))
    if len(inside) < 2:
        return 0.0
    decay = np.polyfit(inside / sample_rate, decibels[inside], 1)[0]
    return float(-60.0 / decay) if decay < 0.0 else 0.0


def reverberate(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Adds reverberation to a crop; length, alignment and root mean square are unchanged.

    Args:
      audio: float32 [time, channels].
      response: float32 [taps, channels], with the direct path at tap 0.
    """
    wet = scipy.signal.fftconvolve(audio, response[: len(audio)], axes=0)[: len(audio)]
    dry_power, wet_power = (float(np.square(x, dtype=np.float64).mean()) for x in (audio, wet))
    if wet_power <= 0.0:
        return audio
    return np.asarray(wet * np.sqrt(dry_power / wet_power), np.float32)


class Rooms:
    """Draws the rooms of training examples according to `data.mixture`.

    Attributes:
      source: recorded responses, or None.

    Raises:
      CodaxError: the source of recorded responses is missing, or none of its responses has an RT60 in the range.
    """

    def __init__(self, config: Config):
        mixture = config.data.mixture
        self._probability, self._range = mixture.reverberation, mixture.rt60_seconds
        self._rate, self._channels = config.model.sample_rate, config.model.audio_channels
        self.source = None
        self._times: dict[int, float] = {}  # RT60 of the recorded responses measured so far
        if mixture.reverberation > 0.0 and mixture.reverberation_source:
            # Responses are short and often normalised to full scale, so the limits for training audio do not apply.
            unlimited = dataclasses.replace(config.data, min_seconds=0.0, max_clipped_fraction=1.0)
            self.source = open_source(mixture.reverberation_source, sample_rate=self._rate, config=unlimited)
            self._recorded(np.random.default_rng(0))  # fails here instead of in the middle of a run if there is none

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """Impulse response [taps, channels] of a room, or None with probability 1 - `data.mixture.reverberation`."""
        if rng.random() >= self._probability:
            return None
        if self.source is not None:
            return self._recorded(rng)
        return synthetic_response(rng, rng.uniform(*self._range), self._rate, self._channels)

    def _recorded(self, rng: np.random.Generator) -> np.ndarray:
        """A random response with an RT60 in the range; all are equally likely."""
        assert self.source is not None
        low, high = self._range
        for index in map(int, rng.permutation(len(self.source))):
            if index in self._times and not low <= self._times[index] <= high:
                continue
            try:
                response = _from_direct_path(self.source.read(index, 0, round(_LONGEST * self._rate)))
            except CodaxError as error:
                _log.warning("impulse response skipped: %s", error)
                self._times[index] = 0.0
                continue
            if index not in self._times:
                self._times[index] = reverberation_time(response, self._rate)
            if low <= self._times[index] <= high:
                return transforms.fit_channels(response, self._channels)
        spec = self.source.spec
        raise CodaxError(f"{spec}: holds no impulse response with an RT60 of {low:g} to {high:g} s")


def _from_direct_path(response: np.ndarray) -> np.ndarray:
    """Cuts everything before the loudest sample, so that the response adds no delay."""
    return response[int(np.abs(response).max(axis=1).argmax()) :]
