"""Codebook usage of a codec, and the entropy of its codes.

Counts are accumulated per quantizer over a whole corpus, because a single short file gives a biased entropy: with T
codes and K entries the plug-in estimate is low by about (K - 1) / (2 T ln 2) bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from codax.metrics.signals import MetricError


@dataclasses.dataclass(frozen=True)
class CodebookUse:
    """Statistics of a codec at one rate; the sequences have one value per quantizer."""

    used: tuple[int, ...]  # number of entries that occur
    use: tuple[float, ...]  # entries that occur / entries
    entropy: tuple[float, ...]  # bits per code, of the distribution of single codes
    perplexity: tuple[float, ...]  # 2 ** entropy: the equivalent number of equally likely entries
    frames: int  # frames counted
    nominal_bps: float  # frame rate x quantizers x log2(entries)
    entropy_bps: float  # frame rate x sum of entropies: the rate of an ideal coder of independent codes

    @property
    def efficiency(self) -> float:
        """Entropy bits / nominal bits (arXiv 2306.06546 calls it bitrate efficiency)."""
        return self.entropy_bps / self.nominal_bps


def count_codes(codes: np.ndarray, codebook_size: int) -> np.ndarray:
    """Histogram of codes [..., frames, quantizers] as int64 [quantizers, codebook_size].

    Raises:
      MetricError: a code is outside the codebook.
    """
    codes = np.asarray(codes)
    if codes.size and (codes.min() < 0 or codes.max() >= codebook_size):
        raise MetricError(f"codes from {codes.min()} to {codes.max()} do not fit a codebook of {codebook_size}")
    flat = codes.reshape(-1, codes.shape[-1])
    return np.stack([np.bincount(column, minlength=codebook_size) for column in flat.T])


def entropy_bits(counts: Sequence[int] | np.ndarray, *, miller_madow: bool = False) -> float:
    """Entropy in bits of a distribution given by counts.

    Args:
      counts: occurrences of each entry.
      miller_madow: add the first-order bias correction (m - 1) / (2 N ln 2) for m observed entries in N samples
        (Miller, 1955), limited to log2 of the number of entries.
    """
    values = np.asarray(counts, np.float64)
    total = values.sum()
    if total <= 0:
        return 0.0
    p = values[values > 0] / total
    bits = float(-np.sum(p * np.log2(p)))
    if miller_madow:
        bits = min(bits + (len(p) - 1) / (2 * total * math.log(2)), math.log2(len(values)))
    return max(bits, 0.0)


def codebook_use(counts: np.ndarray, frame_rate: float, *, miller_madow: bool = False) -> CodebookUse:
    """Usage, perplexity, entropy and bit rates from a histogram.

    Args:
      counts: [quantizers, entries], from `count_codes`, summed over files.
      frame_rate: code frames per second.
      miller_madow: see `entropy_bits`.

    Raises:
      MetricError: the counts are all zero.
    """
    if counts.size == 0 or counts.sum() == 0:
        raise MetricError("no codes to take statistics of")
    size = counts.shape[1]
    entropy = tuple(entropy_bits(row, miller_madow=miller_madow) for row in counts)
    used = tuple(int(np.count_nonzero(row)) for row in counts)
    return CodebookUse(
        used=used,
        use=tuple(n / size for n in used),
        entropy=entropy,
        perplexity=tuple(2.0**bits for bits in entropy),
        frames=int(counts[0].sum()),
        nominal_bps=frame_rate * len(counts) * math.log2(size),
        entropy_bps=frame_rate * sum(entropy),
    )
