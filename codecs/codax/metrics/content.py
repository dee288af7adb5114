"""How much the codes of one codebook tell about phones (HuBERT, arXiv 2106.07447, section 4.4).

Every statistic is of joint counts [utterances, codes, phones] of frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codax.metrics.signals import MetricError


def joint_counts(codes: np.ndarray, phones: np.ndarray, size: int, kinds: int) -> np.ndarray:
    """Frames by code and phone: int64 [size, kinds].

    Args:
      codes: integers [frames] of a codebook with `size` entries.
      phones: integers [frames] below `kinds`; -1 where there is none.

    Raises:
      MetricError: a code lies outside the codebook.
    """
    if codes.size and not (codes.min() >= 0 and codes.max() < size):
        raise MetricError(f"codes from {codes.min()} to {codes.max()} do not fit a codebook of {size}")
    known = phones >= 0
    flat = codes[known].astype(np.int64) * kinds + phones[known]
    return np.bincount(flat, minlength=size * kinds).reshape(size, kinds)


def _entropy(p: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=axis)


def phone_information(joint: np.ndarray) -> float:
    """Phone-normalised mutual information: the share of the phones' entropy that the codes take away, 0 to 1.

    The plug-in estimate over the frames of joint [codes, phones]; high where there are few frames for many codes.
    """
    p = joint / joint.sum()
    phones, codes = p.sum(axis=0), p.sum(axis=1)
    entropy = _entropy(phones, 0)
    shared = entropy + _entropy(codes, 0) - _entropy(p, (0, 1))
    return float(shared / entropy) if entropy > 0 else 0.0


def phone_purity(joint: np.ndarray) -> float:
    """Share of frames whose phone is the likeliest one of their code."""
    return float(joint.max(axis=1).sum() / joint.sum())


def left_out_hits(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As the purity, but each utterance is judged by the likeliest phones of all others, so that nothing is learned.

    Args:
      joint: [utterances, codes, phones].

    Returns:
      Hits and frames of every utterance. Codes that no other utterance has are misses.
    """
    hits, total = np.zeros(len(joint)), joint.sum(axis=0)
    for i, own in enumerate(joint):
        others = total - own
        guess = others.argmax(axis=1)
        hits[i] = (own[np.arange(len(own)), guess] * (others.max(axis=1) > 0)).sum()
    return hits, joint.sum(axis=(1, 2)).astype(np.float64)


def jackknife_error(left: Sequence[float]) -> float:
    """Standard error of a statistic, of its values without one utterance each."""
    values = np.asarray(left)
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.sum((values - values.mean()) ** 2)))
