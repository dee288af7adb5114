"""Levels of signals and distances between them, as pure functions on NumPy or JAX arrays.

Validation calls these in compiled functions and adds a floor to energies, so that silence gives finite values;
`codax.metrics.distances` rejects a silent reference and limits the range instead.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

Array = Any  # np.ndarray or jax.Array


def rms(x: Array, axis: int | None = -1) -> Array:
    """Returns the root mean square along `axis`."""
    xp = _namespace(x)
    return xp.sqrt(xp.mean(x**2, axis=axis))


def rms_scale(audio: Array) -> Array:
    """Returns the RMS of the mean over channels of [batch, time, channels], plus 1e-8 for silence: float32 [batch].

    Models with `model.normalize` divide a segment by this scale, so it is part of the coded format.
    """
    xp = _namespace(audio)
    return rms(xp.mean(audio, axis=2, dtype=xp.float32)) + xp.float32(1e-8)


def snr(reference: Array, estimate: Array, *, axis: int = -1, floor: float = 0.0) -> Array:
    """Returns the signal-to-noise ratio in dB along `axis`: 10 log10(|reference|^2 / |reference - estimate|^2).

    Args:
      reference: an array of any shape.
      estimate: an array of the same shape.
      axis: the time axis.
      floor: added to both energies.

    Returns:
      An array without `axis`. Without a floor an exact estimate gives inf, or NaN if the reference is silent.
    """
    return _ratio_db(reference, reference - estimate, axis, floor)


def si_sdr(reference: Array, estimate: Array, *, axis: int = -1, floor: float = 0.0) -> Array:
    """Returns the scale-invariant signal-to-distortion ratio in dB along `axis`.

    See Le Roux et al., "SDR - half-baked or well done?", 2019. Each signal's mean is subtracted, the reference is
    scaled by a = <estimate, reference> / <reference, reference>, and the ratio is
    10 log10(|a reference|^2 / |a reference - estimate|^2).

    Args:
      reference: an array of any shape.
      estimate: an array of the same shape.
      axis: the time axis.
      floor: added to both energies of the ratio.

    Returns:
      An array without `axis`. Without a floor an exact estimate gives inf; a silent reference gives a target of 0.
    """
    xp = _namespace(reference, estimate)
    reference, estimate = (x - xp.mean(x, axis=axis, keepdims=True) for x in (reference, estimate))
    energy = xp.sum(reference**2, axis=axis, keepdims=True)
    scale = xp.sum(reference * estimate, axis=axis, keepdims=True) / xp.where(energy > 0, energy, 1)
    target = reference * scale
    return _ratio_db(target, target - estimate, axis, floor)


def log_distance(reference: Array, estimate: Array, *, floor: float = 1e-5) -> Array:
    """Returns mean |ln(x + floor) - ln(y + floor)| of magnitudes of any shape, a scalar: validation's mel distance."""
    xp = _namespace(reference, estimate)
    return xp.mean(xp.abs(xp.log(reference + floor) - xp.log(estimate + floor)))


def log_and_linear_distance(reference: Array, estimate: Array, *, floor: float = 1e-5) -> Array:
    """Returns mean |log10 max(x, floor)^2 - log10 max(y, floor)^2| + mean |x - y| of magnitudes of any shape, a scalar.

    Evaluation uses it for STFT and mel distances; see `codax.metrics.distances`.
    """
    xp = _namespace(reference, estimate)
    logs = xp.log10(xp.maximum(reference, floor) ** 2) - xp.log10(xp.maximum(estimate, floor) ** 2)
    return xp.mean(xp.abs(logs)) + xp.mean(xp.abs(reference - estimate))


def _ratio_db(signal: Array, noise: Array, axis: int, floor: float) -> Array:
    xp = _namespace(signal, noise)
    signal_energy, noise_energy = (xp.sum(x**2, axis=axis) + floor for x in (signal, noise))
    return 10 * (xp.log10(signal_energy) - xp.log10(noise_energy))


def _namespace(*arrays: Array) -> types.ModuleType:
    """Returns jax.numpy if one of the arrays is a JAX array, else numpy."""
    return next((xp for x in arrays if (xp := x.__array_namespace__()) is not np), np)
