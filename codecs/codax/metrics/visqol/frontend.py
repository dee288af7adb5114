"""ViSQOL's auditory front end: a gammatone filter bank, its spectrogram, and the decibel floors.

The filter bank is Slaney's ("An efficient implementation of the Patterson-Holdsworth auditory filter bank", 1993):
four second-order sections per band. ViSQOL windows a frame, filters it from zero state, and takes the RMS over the
length of the frame; the ringing after the frame is not counted.

This RMS needs no filtering. With x the windowed frame, h a band's impulse response and W the frame length,

    sum over n < W of (x * h)[n]^2  =  energy of the whole response  -  energy of the ringing, n >= W

The first term is the product of the power spectrum of x and the transform of h's autocorrelation, truncated to lags
below W (x has no longer ones). The ringing depends on x only through the filter's eight state variables, so it is the
squared length of eight dot products with x. Both are matrix products over all frames: about ten times faster than
filtering, and equal up to rounding.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

EAR_Q = 9.26449
MIN_BANDWIDTH = 24.7  # Hz
BANDWIDTH_FACTOR = 1.019
LOWEST_FREQUENCY = 50.0  # Hz
SPEECH_TOP_FREQUENCY = 8000.0  # Hz
WINDOW_SECONDS = 0.08
FLOOR_DB = -45.0

_Frequency = TypeVar("_Frequency", float, np.ndarray)
_STATES = 8  # state variables of four second-order sections
_FRAMES_PER_BLOCK = 128
# If less than this fraction of the response falls inside the frame, the difference above loses precision and the frame
# is filtered: for example, an onset in the last samples of an otherwise silent frame.
LEAST_SHARE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-3}


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """A gammatone filter bank for one sample rate.

    Attributes:
        sample_rate: Hz.
        window: [window_length], symmetric Hann window.
        hop: samples between frames, a quarter of the window.
        centre_frequencies: [bands], Hz, ascending.
        highest: Hz, the end of the frequency scale, one step above the last centre.
        responses: [bands, window_length], the beginning of every filter's impulse response.
        energy_weights: [window_length + 1, bands], power spectrum (FFT length 2 x window_length) to response energy.
        ringing_weights: [window_length, bands x 8], frame to the eight components of its ringing.
    """

    sample_rate: int
    window: np.ndarray
    hop: int
    centre_frequencies: np.ndarray
    highest: float
    responses: np.ndarray
    energy_weights: np.ndarray
    ringing_weights: np.ndarray

    @property
    def hop_seconds(self) -> float:
        return self.hop / self.sample_rate


def centre_frequencies(bands: int, lowest: float, highest: float) -> np.ndarray:
    """[bands] centre frequencies in Hz, ascending and equally spaced on the ERB scale from `lowest` up.

    `highest` is the end of the scale, one step above the last centre.
    """
    k = EAR_Q * MIN_BANDWIDTH
    steps = np.arange(bands, 0, -1)
    return -k + (highest + k) * np.exp(steps * (math.log(lowest + k) - math.log(highest + k)) / bands)


def gammatone_sections(centres: np.ndarray, sample_rate: int) -> np.ndarray:
    """Second-order sections of the gammatone filters, with unit gain at each centre frequency (Hz).

    Returns:
        [bands, 4, 6], coefficients b0 b1 b2 a0 a1 a2 of four sections in a row, as `scipy.signal.sosfilt` takes them.
    """
    period = 1.0 / sample_rate
    decay = np.exp(-_bandwidth(centres) * period)
    angle = 2 * np.pi * centres * period
    slopes = np.array([math.sqrt(3 + 2**1.5), -math.sqrt(3 + 2**1.5), math.sqrt(3 - 2**1.5), -math.sqrt(3 - 2**1.5)])
    tilt = np.cos(angle)[:, None] + slopes * np.sin(angle)[:, None]  # [bands, 4]
    sections = np.zeros((len(centres), 4, 6))
    sections[:, :, 0] = period
    sections[:, :, 1] = -period * decay[:, None] * tilt
    sections[:, :, 3] = 1.0
    sections[:, :, 4] = (-2 * np.cos(angle) * decay)[:, None]
    sections[:, :, 5] = (decay**2)[:, None]
    turn = np.exp(2j * angle)
    zeros = -2 * period * turn[:, None] + (2 * period * decay * np.exp(1j * angle))[:, None] * tilt
    poles = -2 * decay**2 - 2 * turn + 2 * (1 + turn) * decay
    gain = np.abs(np.prod(zeros, axis=1) / poles**4)
    sections[:, 0, :3] /= gain[:, None]
    return sections


def impulse_response(centre: float, sample_rate: int, length: int) -> np.ndarray:
    """Impulse response of the filter at `centre` Hz, [at least `length`], until it has decayed."""
    pole = _pole(centre, sample_rate)
    # exp(-60) of the envelope is far below rounding, even after its cubic growth.
    size = _power_of_two(max(length, math.ceil(-60 / pole.real)))
    turns = -2j * np.pi * np.arange(size // 2 + 1) / size
    zeros = gammatone_sections(np.array([centre]), sample_rate)[0, :, :2]
    numerator = np.prod(zeros[:, :1] + zeros[:, 1:] * np.exp(turns), axis=0)
    # 1 - p z^-1 for both poles; near resonance expm1 keeps precision that a difference from one would lose.
    denominator = np.expm1(turns + pole) * np.expm1(turns + pole.conjugate())
    squared = denominator * denominator
    return np.fft.irfft(numerator / (squared * squared), n=size)


@functools.lru_cache(maxsize=8)
def filter_bank(sample_rate: int, bands: int, highest: float, dtype: type = np.float64) -> FilterBank:
    """Builds (once) the bank of `bands` filters between 50 Hz and `highest` Hz."""
    # Rounds half up, as the C library does; numpy rounds half to even.
    length = math.floor(WINDOW_SECONDS * sample_rate + 0.5)
    centres = centre_frequencies(bands, LOWEST_FREQUENCY, highest)
    responses = np.empty((bands, length))
    energy = np.empty((length + 1, bands))
    ringing = np.empty((length, bands, _STATES))
    for band, centre in enumerate(centres):
        response = impulse_response(centre, sample_rate, length)
        responses[band] = response[:length]
        energy[:, band] = _energy_weights(response, length)
        ringing[:, band] = _ringing_weights(response, length, _pole(centre, sample_rate))
    steps = np.arange(length)
    return FilterBank(
        sample_rate=sample_rate,
        window=(0.5 - 0.5 * np.cos(2 * np.pi * steps / (length - 1))).astype(dtype),
        hop=int(length * 0.25),
        centre_frequencies=centres,
        highest=highest,
        responses=responses,
        energy_weights=energy.astype(dtype),
        ringing_weights=ringing.reshape(length, bands * _STATES).astype(dtype),
    )


def frame_signal(signal: np.ndarray, bank: FilterBank) -> np.ndarray:
    """[frames, window_length] view of the complete frames of `signal` [time]; the remainder is dropped."""
    return sliding_window_view(signal, len(bank.window))[:: bank.hop]


def band_levels(frames: np.ndarray, bank: FilterBank) -> np.ndarray:
    """RMS of every band over every frame.

    Args:
        frames: [frames, window_length] samples, without window.
        bank: the filter bank; its dtype is the precision of the computation.

    Returns:
        [bands, frames], the RMS of the filtered windowed frame.
    """
    bands, length = len(bank.centre_frequencies), len(bank.window)
    dtype = bank.window.dtype
    levels = np.empty((bands, len(frames)), dtype)
    for begin in range(0, len(frames), _FRAMES_PER_BLOCK):
        block = frames[begin : begin + _FRAMES_PER_BLOCK].astype(dtype, copy=False) * bank.window
        # SciPy's transform is faster over many rows; type checkers do not know that it returns an array.
        spectrum = np.asarray(scipy.fft.rfft(block, n=2 * length, axis=1))
        whole = (spectrum.real**2 + spectrum.imag**2) @ bank.energy_weights
        ringing = (block @ bank.ringing_weights).reshape(len(block), bands, _STATES)
        inside = whole - np.einsum("fbs,fbs->fb", ringing, ringing)
        inexact = np.any(inside < LEAST_SHARE[dtype] * whole, axis=1)
        if inexact.any():
            inside[inexact] = _filtered_energy(block[inexact], bank)
        levels[:, begin : begin + len(block)] = np.sqrt(np.maximum(inside, 0) / length).T
    return levels


def to_decibels(reference: np.ndarray, degraded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Converts a pair of spectrograms to decibels, with ViSQOL's floors.

    Args:
        reference, degraded: [bands, frames] RMS values; the numbers of frames may differ.

    Returns:
        Both in decibels above the lowest value of either (the floor is 0). The formula is 10 log10 of an RMS, not 20.
    """
    pair = []
    for levels in (reference, degraded):
        magnitude = np.abs(levels)
        pair.append(10 * np.log10(np.where(magnitude == 0, np.finfo(np.float64).eps, magnitude).astype(levels.dtype)))
    first, second = raise_floors(*pair)
    lowest = min(first.min(), second.min())
    return first - lowest, second - lowest


def raise_floors(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raises negligible values in a pair of spectrograms [bands, frames] in decibels."""
    pair = [np.maximum(decibels, decibels.dtype.type(FLOOR_DB)) for decibels in (first, second)]
    common = min(first.shape[1], second.shape[1])
    # Values more than 45 dB below the loudest band of either signal are raised. Frames that only one of them has keep
    # the absolute floor.
    ceiling = np.maximum(*(decibels[:, :common].max(axis=0) for decibels in pair))
    for decibels in pair:
        np.maximum(decibels[:, :common], ceiling + decibels.dtype.type(FLOOR_DB), out=decibels[:, :common])
    return pair[0], pair[1]


def _bandwidth(centre: _Frequency) -> _Frequency:
    """Decay rate of a filter at `centre` (Hz), in 1/s."""
    return BANDWIDTH_FACTOR * 2 * np.pi * (centre / EAR_Q + MIN_BANDWIDTH)


def _pole(centre: float, sample_rate: int) -> complex:
    """Logarithm of the filter's pole: decay and rotation per sample."""
    return complex(-_bandwidth(centre), 2 * math.pi * centre) / sample_rate


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _energy_weights(response: np.ndarray, length: int) -> np.ndarray:
    """[length + 1] weights of a frame's power spectrum for the energy of its complete response."""
    size = _power_of_two(len(response) + length)
    spectrum = np.fft.rfft(response, n=size)
    autocorrelation = np.fft.irfft(np.abs(spectrum) ** 2, n=size)[:length]
    lags = np.concatenate([autocorrelation, [0.0], autocorrelation[:0:-1]])  # 2 x length, circular
    weights = np.fft.rfft(lags).real / (2 * length)
    weights[1:-1] *= 2  # each represents a positive and a negative frequency
    return weights


def _ringing_weights(response: np.ndarray, length: int, pole: complex) -> np.ndarray:
    """[length, 8] weights: the squared length of their dot products with a frame is the energy of the ringing.

    Ringing sample m >= 0 is sum over i of response[m + 1 + i] x[length - 1 - i]. As functions of i these responses
    span eight dimensions: cos and sin at the centre frequency under an exponential times a cubic. The map from frame to
    ringing therefore factors through an orthonormal basis of that space, and its length through an 8 x 8 triangle.
    """
    steps = np.arange(length)
    envelope = np.exp(pole.real * steps)
    columns = []
    for degree in range(4):
        # Laguerre polynomials are nearly orthogonal under this envelope; plain powers would lose precision.
        shape = envelope * np.polynomial.laguerre.Laguerre.basis(degree)(-2 * pole.real * steps)
        columns += [shape * np.cos(pole.imag * steps), shape * np.sin(pole.imag * steps)]
    basis, _ = np.linalg.qr(np.stack(columns, axis=1))
    size = _power_of_two(len(response) + length)
    spectrum = np.fft.rfft(response[1:], n=size)[:, None] * np.fft.rfft(basis, n=size, axis=0).conj()
    ringing = np.fft.irfft(spectrum, n=size, axis=0)[: len(response)]
    _, triangle = np.linalg.qr(ringing)
    weights = (basis @ triangle.T)[::-1]
    # Remnants of a fast decay at the frame's beginning are denormal numbers, which would slow down the products.
    return np.where(np.abs(weights) > 1e-20 * np.abs(weights).max(), weights, 0.0)


def _filtered_energy(windowed: np.ndarray, bank: FilterBank) -> np.ndarray:
    """[frames, bands] energy inside the frame, by filtering."""
    length = windowed.shape[1]
    spectrum = np.fft.rfft(windowed.astype(np.float64), n=2 * length, axis=1)
    energy = np.empty((len(windowed), len(bank.responses)))
    for band, response in enumerate(bank.responses):
        output = np.fft.irfft(spectrum * np.fft.rfft(response, n=2 * length), n=2 * length, axis=1)[:, :length]
        energy[:, band] = (output**2).sum(axis=1)
    return energy
