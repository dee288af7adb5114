"""ViSQOL's comparison of two patches in exactly the order of operations of the published program.

A patch is scored twice, at the position found by the search and after its alignment in time, and the better score is
kept. For identical content both scores are 1 up to rounding, so the last bits decide which is better. The two cover
different frames, however, which changes the lattice mapping. This module resolves such ties as the program does: it
filters sample by sample, adds values sequentially, and uses the functions of the C library, because numpy's differ
between processors. This is slow, so it is used for ties only.
"""

from __future__ import annotations

import cmath
import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from codax.metrics.nsim import CENTRE, CORNER, EDGE
from codax.metrics.visqol.frontend import (
    BANDWIDTH_FACTOR,
    EAR_Q,
    FLOOR_DB,
    LOWEST_FREQUENCY,
    MIN_BANDWIDTH,
    FilterBank,
    frame_signal,
    raise_floors,
)

_REFERENCE_PRESSURE = 0.00002  # Pa
_WEIGHTS = ((CORNER, EDGE, CORNER), (EDGE, CENTRE, EDGE), (CORNER, EDGE, CORNER))  # symmetric
_C1 = 0.01 * 0.01
_C3 = 0.03 * 0.03 / 2
# Maximum deviation of the fast spectrograms from the exact ones, in dB.
_UNCERTAINTY = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-2}


@dataclasses.dataclass(frozen=True)
class Tie:
    """A patch whose two scores are equal up to rounding.

    Attributes:
        start, offset: first frame in the reference and in the degraded signal, from the search.
        width: frames of the patch.
        cuts: the aligned reference and degraded samples [time] of the patch.
    """

    start: int
    offset: int
    width: int
    cuts: tuple[np.ndarray, np.ndarray]


class TieBreaker:
    """Decides which of a patch's two scores is better, for one pair of signals.

    Args:
        reference, degraded: [time] samples, level-matched.
        levels: [bands, frames] of both, from `frontend.band_levels`.
        bank: the filter bank of the levels.
    """

    def __init__(
        self, reference: np.ndarray, degraded: np.ndarray, levels: tuple[np.ndarray, np.ndarray], bank: FilterBank
    ):
        self._frames = frame_signal(reference, bank), frame_signal(degraded, bank)
        self._levels = levels
        self._bank = bank

    def prefers_cuts(self, ties: Sequence[Tie]) -> list[bool]:
        """For every tie: False only if the aligned cuts are less similar than the frames found by the search."""
        # The floor of a frame depends on both signals, so both are computed wherever either is compared.
        needed = np.unique(np.concatenate([self._lowest_frames] + [first + np.arange(n) for first, n in _spans(ties)]))
        columns = [needed[needed < len(frames)] for frames in self._frames]
        groups = [frames[chosen] for frames, chosen in zip(self._frames, columns, strict=True)]
        groups += [frame_signal(cut, self._bank) for tie in ties for cut in tie.cuts]
        found_r, found_d, *cuts = _levels_of_groups(groups, self._bank)
        reference, degraded = (levels.astype(np.float64) for levels in self._levels)
        reference[:, columns[0]], degraded[:, columns[1]] = found_r, found_d
        reference, degraded = _to_decibels(reference, degraded)
        result = []
        for tie, left, right in zip(ties, cuts[::2], cuts[1::2], strict=True):
            before = similarity(
                reference[:, tie.start : tie.start + tie.width],
                np.pad(degraded, ((0, 0), (0, tie.width)))[:, tie.offset : tie.offset + tie.width],
            )
            result.append(similarity(*_to_decibels(left, right)) >= before)
        return result

    @functools.cached_property
    def _lowest_frames(self) -> np.ndarray:
        """Frames that may contain the lowest value of both spectrograms, which is subtracted everywhere."""
        floored = raise_floors(*(_decibels(levels.astype(np.float64)) for levels in self._levels))
        lowest = min(decibels.min() for decibels in floored)
        if lowest == FLOOR_DB:
            return np.array([], int)  # the absolute floor, which does not depend on the arithmetic
        limit = lowest + _UNCERTAINTY[self._bank.window.dtype]
        return np.concatenate([np.flatnonzero(decibels.min(axis=0) <= limit) for decibels in floored])


def sound_pressure_level(signal: np.ndarray) -> float:
    """Level of a non-silent `signal` [time] in dB."""
    return 20 * math.log10(math.sqrt(_sum(signal * signal) / len(signal)) / _REFERENCE_PRESSURE)


def band_levels(frames: np.ndarray, bank: FilterBank) -> np.ndarray:
    """[bands, frames] RMS of the filtered windowed `frames` [frames, window_length], in double precision.

    The four direct-form-II-transposed sections of all bands and frames are computed in parallel, each one sample behind
    the previous section.
    """
    count, length = frames.shape
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * step / (length - 1)) for step in range(length)])
    bands = len(bank.centre_frequencies)
    b0, b1, a1, a2 = _sections(bank.sample_rate, bands, bank.highest)
    source, output, first, second, scratch = np.zeros((5, 4, bands, count))
    energy = np.zeros((bands, count))
    delay = len(source) - 1
    for step, sample in enumerate(np.pad((window * frames).T, ((0, delay), (0, 0)))):
        source[1:] = output[:-1]
        source[0] = sample
        np.multiply(b0, source, out=output)
        output += first
        np.multiply(b1, source, out=first)
        first += second
        first -= np.multiply(a1, output, out=scratch)
        np.multiply(-a2, output, out=second)
        if step >= delay:
            energy += np.multiply(output[-1], output[-1], out=scratch[0])
    return np.sqrt(energy / length)


def similarity(reference: np.ndarray, degraded: np.ndarray) -> float:
    """NSIM of two patches [bands, frames]; see `codax.metrics.nsim`."""
    mean_r, mean_d = _smooth(reference), _smooth(degraded)
    square_r, square_d, product = mean_r * mean_r, mean_d * mean_d, mean_r * mean_d
    var_r = _smooth(reference * reference) - square_r
    var_d = _smooth(degraded * degraded) - square_d
    covariance = _smooth(reference * degraded) - product
    intensity = (product * 2 + _C1) / (square_r + square_d + _C1)
    structure = (covariance + _C3) / (np.sqrt(np.maximum(var_r * var_d, 0)) + _C3)
    bands, frames = reference.shape
    return float(_sum(_sum(intensity * structure) / frames) / bands)


def _spans(ties: Sequence[Tie]) -> list[tuple[int, int]]:
    """First frame and number of frames of every stretch compared before the alignment."""
    return [(first, tie.width) for tie in ties for first in (tie.start, tie.offset)]


def _levels_of_groups(groups: list[np.ndarray], bank: FilterBank) -> list[np.ndarray]:
    """`band_levels` of several groups of frames; each distinct frame is computed once."""
    distinct, inverse = np.unique(np.concatenate(groups), axis=0, return_inverse=True)
    levels = band_levels(distinct, bank)[:, inverse.ravel()]
    return np.split(levels, np.cumsum([len(group) for group in groups])[:-1], axis=1)


def _smooth(patch: np.ndarray) -> np.ndarray:
    """3 x 3 weighted mean, column by column."""
    bands, frames = patch.shape
    padded = np.pad(patch, 1, mode="edge")
    result = np.zeros_like(patch)
    for frame in range(3):
        for band in range(3):
            result += padded[band : band + bands, frame : frame + frames] * _WEIGHTS[band][frame]
    return result


def _sum(values: np.ndarray) -> np.ndarray:
    """Sequential sum over the last axis; numpy's own sum is pairwise."""
    return np.add.accumulate(values, axis=-1)[..., -1]


def _to_decibels(reference: np.ndarray, degraded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`frontend.to_decibels` with the C library's logarithm."""
    first, second = raise_floors(_decibels(reference), _decibels(degraded))
    lowest = min(first.min(), second.min())
    return first - lowest, second - lowest


def _decibels(levels: np.ndarray) -> np.ndarray:
    epsilon = float(np.finfo(np.float64).eps)
    values = [10 * math.log10(abs(level) or epsilon) for level in levels.ravel().tolist()]
    return np.array(values).reshape(levels.shape)


@functools.lru_cache(maxsize=8)
def _sections(sample_rate: int, bands: int, highest: float) -> np.ndarray:
    """Coefficients b0 b1 a1 a2 of the filters: [4, sections, bands, 1], lowest band first.

    The filters of `frontend.gammatone_sections`, rounded as in the program.
    """
    k = EAR_Q * MIN_BANDWIDTH
    step = (-math.log(highest + k) + math.log(LOWEST_FREQUENCY + k)) / bands
    centres = [-k + math.exp(i * step) * (highest + k) for i in range(bands, 0, -1)]
    coefficients = np.array([_band_sections(centre, 1.0 / sample_rate) for centre in centres])  # [bands, sections, 4]
    return np.ascontiguousarray(coefficients.transpose(2, 1, 0))[..., None]


def _band_sections(centre: float, period: float) -> list[list[float]]:
    """b0 b1 a1 a2 of each of the four sections."""
    bandwidth = BANDWIDTH_FACTOR * 2 * math.pi * (centre / EAR_Q + MIN_BANDWIDTH)
    growth = math.exp(bandwidth * period)
    angle = 2 * centre * math.pi * period
    cosine, sine = math.cos(angle), math.sin(angle)
    wide, narrow = math.sqrt(3 + 2**1.5), math.sqrt(3 - 2**1.5)
    denominator = [-2 * cosine / growth, math.exp(bandwidth * period * -2)]
    middle = cosine * 2 * period / growth
    tilts = [sine * period * 2 * wide / growth, sine * period * 2 * narrow / growth]
    coefficients = [-(middle + sign * tilt) / 2 for tilt in tilts for sign in (1, -1)]

    turn = cmath.exp(4j * centre * math.pi * period)
    zero = 2 * cmath.exp(complex(-(bandwidth * period), angle)) * period
    product = complex(1)
    for coefficient in (-narrow, narrow, -wide, wide):
        product *= -2 * turn * period + zero * (cosine + coefficient * sine)
    pole = -2 / math.exp(2 * bandwidth * period) - 2 * turn + 2 * (1 + turn) / growth
    # numpy's complex logarithm is the C library's; cmath's differs close to magnitude 1.
    logarithm = complex(np.log(np.complex128(pole)))
    gain = abs(product / cmath.rect(math.exp(4 * logarithm.real), 4 * logarithm.imag))
    numerators = [[period, coefficient] for coefficient in coefficients]
    numerators[0] = [value / gain for value in numerators[0]]
    return [numerator + denominator for numerator in numerators]
