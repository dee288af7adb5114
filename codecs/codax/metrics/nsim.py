"""NSIM, the neurogram similarity index measure: similarity of two time-frequency patches.

NSIM is the structural similarity index of images (SSIM) without its contrast term, on spectrograms in decibels (Hines
and Harte, "Speech intelligibility prediction using a neurogram similarity index measure", 2012). The constants and the
border rule are those of ViSQOL v3, which is based on this function:

    S(x)      3 x 3 weighted mean, with border cells repeated
    intensity (2 S(r) S(d) + C1) / (S(r)^2 + S(d)^2 + C1)
    structure (cov + C3) / (sqrt(var_r var_d) + C3)
    NSIM      mean of intensity x structure over bands and frames; 1 for equal patches, may be negative
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# The 3 x 3 window, a sampled Gaussian.
CORNER = 0.0113033910173052
EDGE = 0.0838251475442633
CENTRE = 0.619485845753726

# The stabilising constants assume an intensity range of 1 although decibel values reach about 45. ViSQOL was trained
# with them, so they are kept.
C1 = 0.01**2
C3 = 0.03**2 / 2

# The window as the outer product of (side, middle, side) with itself plus a remainder at the centre: the same nine
# weights in two short passes.
SIDE = math.sqrt(CORNER)
MIDDLE = EDGE / SIDE
REST = CENTRE - MIDDLE**2

# Offsets per block; [32 bands, 30 frames, 256 offsets] in float64 is 2 MB, about the cache of one core.
_OFFSETS_PER_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class Nsim:
    """Similarity of pairs of patches, from the similarity map [..., bands, frames].

    Attributes:
        similarity: [...], mean of the map over bands and frames.
        band_means: [..., bands], mean of the map over frames.
        band_stds: [..., bands], sample standard deviation of the map over frames (divisor frames - 1).
        band_degraded_energy: [..., bands], mean of the degraded patch over frames, in its own unit (decibels).
    """

    similarity: np.ndarray
    band_means: np.ndarray
    band_stds: np.ndarray
    band_degraded_energy: np.ndarray


def smooth(patch: np.ndarray, band_axis: int = -2, frame_axis: int = -1) -> np.ndarray:
    """3 x 3 weighted mean over bands and frames, with border cells repeated. Same shape as `patch`."""
    rows = _smooth_axis(patch, band_axis)
    result = _smooth_axis(rows, frame_axis)
    result += patch.dtype.type(REST) * patch
    return result


def nsim(reference: np.ndarray, degraded: np.ndarray) -> Nsim:
    """Compares patches cell by cell.

    Args:
        reference: [..., bands, frames], decibels above the common floor.
        degraded: [..., bands, frames], broadcast against `reference` over the leading axes.

    Returns:
        The similarity and its per-band summaries.

    Raises:
        ValueError: the patches differ in bands or frames, or have fewer than two frames.
    """
    reference, degraded = _as_floats(reference), _as_floats(degraded)
    if reference.ndim < 2 or degraded.ndim < 2 or reference.shape[-2:] != degraded.shape[-2:]:
        raise ValueError(f"patches must agree in [bands, frames], got {reference.shape} and {degraded.shape}")
    if reference.shape[-1] < 2 or reference.shape[-2] < 1:
        raise ValueError(f"a patch needs a band and two frames, got {reference.shape}")
    mean_r, mean_d = smooth(reference), smooth(degraded)
    var_r = smooth(reference * reference) - mean_r * mean_r
    var_d = smooth(degraded * degraded) - mean_d * mean_d
    covariance = smooth(reference * degraded) - mean_r * mean_d
    cells = _similarity_map(mean_r, mean_d, var_r, var_d, covariance)
    band_means = cells.mean(axis=-1)
    return Nsim(
        similarity=band_means.mean(axis=-1),
        band_means=band_means,
        band_stds=cells.std(axis=-1, ddof=1),
        band_degraded_energy=np.broadcast_to(degraded.mean(axis=-1), band_means.shape),
    )


def sliding_nsim(
    patches: np.ndarray, degraded: np.ndarray, first: np.ndarray | None = None, last: np.ndarray | None = None
) -> np.ndarray:
    """NSIM of every reference patch against the degraded spectrogram at every offset.

    Terms that depend on one side are computed once per side, only the covariance per pair. The offsets are the last
    axis, so that numpy's loops are long and every offset is summed in the same order: equal patches give bitwise equal
    values, which a search that breaks ties by position requires.

    Args:
        patches: [patches, bands, patch_frames], reference patches.
        degraded: [bands, frames]. Columns after its end count as zeros.
        first, last: [patches], inclusive range of offsets for each patch; all by default.

    Returns:
        [patches, frames] similarities; cells outside first..last are undefined.
    """
    patches, degraded = _as_floats(patches), _as_floats(degraded)
    count, bands, width = patches.shape
    offsets = degraded.shape[1]
    first = np.zeros(count, int) if first is None else first
    last = np.full(count, offsets - 1) if last is None else last
    padded = np.concatenate([degraded, np.zeros((bands, width - 1), degraded.dtype)], axis=1)
    mean_r = smooth(patches)
    var_r = smooth(patches * patches) - mean_r * mean_r
    result = np.zeros((count, offsets), degraded.dtype)
    for begin in range(0, offsets, _OFFSETS_PER_BLOCK):
        end = min(offsets, begin + _OFFSETS_PER_BLOCK)
        # [bands, patch_frames, offsets]: cell (b, j, o) is the degraded band b at frame o + j.
        block = sliding_window_view(padded[:, begin : end + width - 1], end - begin, axis=1)
        mean_d = smooth(block, 0, 1)
        var_d = smooth(block * block, 0, 1) - mean_d * mean_d
        for p in np.flatnonzero((first < end) & (last >= begin)):
            covariance = smooth(patches[p, :, :, None] * block, 0, 1)
            covariance -= mean_r[p, :, :, None] * mean_d
            cells = _similarity_map(mean_r[p, :, :, None], mean_d, var_r[p, :, :, None], var_d, covariance)
            result[p, begin:end] = cells.mean(axis=1).mean(axis=0)
    return result


def _smooth_axis(values: np.ndarray, axis: int) -> np.ndarray:
    """(side, middle, side) weighted sum along one axis, with the border repeated."""
    side, middle = values.dtype.type(SIDE), values.dtype.type(MIDDLE)
    source = np.moveaxis(values, axis, 0)
    scaled = side * source
    result = middle * source
    result[1:] += scaled[:-1]
    result[:-1] += scaled[1:]
    result[0] += scaled[0]
    result[-1] += scaled[-1]
    return np.moveaxis(result, 0, axis)


def _similarity_map(
    mean_r: np.ndarray, mean_d: np.ndarray, var_r: np.ndarray, var_d: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """intensity x structure of every cell."""
    dtype = covariance.dtype.type
    # Rounding can make a variance slightly negative; where the product is negative the square root is omitted.
    spread = np.sqrt(np.maximum(var_r * var_d, dtype(0)))
    numerator = dtype(2) * mean_r * mean_d
    numerator += dtype(C1)
    numerator *= covariance + dtype(C3)
    denominator = mean_r * mean_r + mean_d * mean_d
    denominator += dtype(C1)
    spread += dtype(C3)
    denominator *= spread
    numerator /= denominator
    return numerator


def _as_floats(values: np.ndarray) -> np.ndarray:
    """Keeps float32; converts everything else to float64."""
    values = np.asarray(values)
    return values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
