"""Fréchet audio distance (arXiv 1812.08466): the distance of two sets of recordings, by the features of a network.

Both sets of features are described by a Gaussian. The squared distance of two Gaussians (Dowson and Landau, 1982) is
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2)), with the means m and covariances C.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from codax.errors import CodaxError
from codax.metrics.measures import Pooled, Value
from codax.metrics.signals import MetricError, mono

if TYPE_CHECKING:
    from codax.teachers.teacher import Teacher

SAMPLE_RATE = 16_000  # Hz


@functools.cache
def network() -> Teacher:
    """The network of the features. Raises MetricError: it is not installed."""
    from codax.config import TeacherConfig
    from codax.teachers.open import find_teacher

    try:
        return find_teacher(TeacherConfig(source="wakehubert"))
    except CodaxError as error:
        raise MetricError(f"Fréchet audio distance: {error}") from error


def statistics(audio: np.ndarray, _: int) -> np.ndarray:
    """Sums over the frames of a signal float [time, channels] at 16 kHz, see `sums`."""
    return sums(network().whole(mono(audio).astype(np.float32)))


def sums(features: np.ndarray) -> np.ndarray:
    """Sums of the products of (1, x) with itself over features x [frames, n]: float64 [n + 1, n + 1].

    They hold the number of frames, and the sums of features and of their products; those of several signals add up.
    """
    extended = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    return extended.T @ extended


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, given by their sums. Raises MetricError: fewer than two frames."""
    (mean, covariance), (other_mean, other_covariance) = _gaussian(first), _gaussian(second)
    root = _root(covariance)
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    value = np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * overlap
    return max(0.0, float(value))  # rounding makes small ones negative


def _gaussian(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance, unbiased."""
    count = total[0, 0]
    if count < 2:
        raise MetricError("the Fréchet audio distance needs at least two frames")
    mean = total[0, 1:] / count
    return mean, (total[1:, 1:] - count * np.outer(mean, mean)) / (count - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


MEASURE = Pooled(
    (
        Value(
            "fad",
            "Fréchet audio distance",
            "lower",
            "Between the Gaussians of all originals' and all decoded signals' features: those of wakehubert, a student "
            "of HuBERT, 128 channels, 50 frames per second, 16 kHz, mean channel. Biased upwards by an amount that "
            "falls with the number of frames: comparable only over equal data and features.",
            "",
            3,
        ),
    ),
    statistics,
    lambda originals, decoded: {"fad": distance(originals, decoded)},
    rate=SAMPLE_RATE,
    check=network,
)
