"""Levels of signals and distances between them: pure functions on NumPy and JAX arrays alike.

Every quantity is defined here once. Validation calls these inside of compiled functions and adds a floor to energies,
so that silence gives finite numbers; `codax.metrics.distances` refuses a silent reference and limits the range instead.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

Array = Any  # np.ndarray or jax.Array


def rms(x: Array, axis: int | None = -1) -> Array:
    """Root of the mean square along `axis`."""
    xp = _namespace(x)
    return xp.sqrt(xp.mean(x**2, axis=axis))


def rms_scale(audio: Array) -> Array:
    """RMS of the mean of the channels of [batch, time, channels], plus 1e-8 against silence: float32 [batch].

    Part of the coded format: the scale that models with `model.normalize` divide a segment by.
    """
    xp = _namespace(audio)
    return rms(xp.mean(audio, axis=2, dtype=xp.float32)) + xp.float32(1e-8)


def snr(reference: Array, estimate: Array, *, axis: int = -1, floor: float = 0.0) -> Array:
    """Signal-to-noise ratio in dB along `axis`: 10 log10(|reference|^2 / |reference - estimate|^2).

    Args:
      reference: of any shape.
      estimate: the same shape.
      axis: time.
      floor: added to both energies.

    Returns:
      The shape without `axis`. Without a floor an exact estimate gives inf, and NaN for a silent reference.
    """
    return _ratio_db(reference, reference - estimate, axis, floor)


def si_sdr(reference: Array, estimate: Array, *, axis: int = -1, floor: float = 0.0) -> Array:
    """Scale-invariant signal-to-distortion ratio in dB along `axis` (Le Roux et al., "SDR - half-baked or well done?",
    2019).

    Both signals lose their mean; the reference is scaled by a = <estimate, reference> / <reference, reference>, and the
    ratio is 10 log10(|a reference|^2 / |a reference - estimate|^2).

    Args:
      reference: of any shape.
      estimate: the same shape.
      axis: time.
      floor: added to both energies of the ratio.

    Returns:
      The shape without `axis`. Without a floor an exact estimate gives inf; a silent reference counts as a target of 0.
    """
    xp = _namespace(reference, estimate)
    reference, estimate = (x - xp.mean(x, axis=axis, keepdims=True) for x in (reference, estimate))
    energy = xp.sum(reference**2, axis=axis, keepdims=True)
    scale = xp.sum(reference * estimate, axis=axis, keepdims=True) / xp.where(energy > 0, energy, 1)
    target = reference * scale
    return _ratio_db(target, target - estimate, axis, floor)


def log_distance(reference: Array, estimate: Array, *, floor: float = 1e-5) -> Array:
    """Mean |ln(x + floor) - ln(y + floor)| of magnitudes of any shape: a scalar, validation's mel distance."""
    xp = _namespace(reference, estimate)
    return xp.mean(xp.abs(xp.log(reference + floor) - xp.log(estimate + floor)))


def log_and_linear_distance(reference: Array, estimate: Array, *, floor: float = 1e-5) -> Array:
    """Mean |log10 max(x, floor)^2 - log10 max(y, floor)^2| + mean |x - y| of magnitudes of any shape: a scalar.

    The STFT and mel distances of evaluation, see `codax.metrics.distances`.
    """
    xp = _namespace(reference, estimate)
    logs = xp.log10(xp.maximum(reference, floor) ** 2) - xp.log10(xp.maximum(estimate, floor) ** 2)
    return xp.mean(xp.abs(logs)) + xp.mean(xp.abs(reference - estimate))


def _ratio_db(signal: Array, noise: Array, axis: int, floor: float) -> Array:
    xp = _namespace(signal, noise)
    signal_energy, noise_energy = (xp.sum(x**2, axis=axis) + floor for x in (signal, noise))
    return 10 * (xp.log10(signal_energy) - xp.log10(noise_energy))


def _namespace(*arrays: Array) -> types.ModuleType:
    """jax.numpy if one of the arrays is JAX's, else numpy."""
    return next((xp for x in arrays if (xp := x.__array_namespace__()) is not np), np)
