"""Phonetic information in the codes of one codebook (HuBERT, arXiv 2106.07447, section 4.4).

All statistics are functions of joint counts [utterances, codes, phones] of frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codax.metrics.signals import MetricError


def joint_counts(codes: np.ndarray, phones: np.ndarray, size: int, kinds: int) -> np.ndarray:
    """Counts frames by code and phone: int64 [size, kinds].

    Args:
      codes: integers [frames] of a codebook with `size` entries.
      phones: integers [frames] below `kinds`; -1 for no phone.

    Raises:
      MetricError: a code is outside the codebook.
    """
    if codes.size and not (codes.min() >= 0 and codes.max() < size):
        raise MetricError(f"codes from {codes.min()} to {codes.max()} do not fit a codebook of {size}")
    known = phones >= 0
    flat = codes[known].astype(np.int64) * kinds + phones[known]
    return np.bincount(flat, minlength=size * kinds).reshape(size, kinds)


def _entropy(p: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=axis)


def phone_information(joint: np.ndarray) -> float:
    """Phone-normalised mutual information: the fraction of the phones' entropy that the codes explain, 0 to 1.

    Plug-in estimate from joint counts [codes, phones]; biased upwards if there are few frames per code.
    """
    p = joint / joint.sum()
    phones, codes = p.sum(axis=0), p.sum(axis=1)
    entropy = _entropy(phones, 0)
    shared = entropy + _entropy(codes, 0) - _entropy(p, (0, 1))
    return float(shared / entropy) if entropy > 0 else 0.0


def phone_purity(joint: np.ndarray) -> float:
    """Fraction of frames whose phone is the most frequent one of their code."""
    return float(joint.max(axis=1).sum() / joint.sum())


def left_out_hits(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Purity with leave-one-out: each utterance is scored with the most frequent phones of all others.

    Args:
      joint: [utterances, codes, phones].

    Returns:
      Hits and frames of every utterance. Codes that occur in no other utterance are misses.
    """
    hits, total = np.zeros(len(joint)), joint.sum(axis=0)
    for i, own in enumerate(joint):
        others = total - own
        guess = others.argmax(axis=1)
        hits[i] = (own[np.arange(len(own)), guess] * (others.max(axis=1) > 0)).sum()
    return hits, joint.sum(axis=(1, 2)).astype(np.float64)


def jackknife_error(left: Sequence[float]) -> float:
    """Jackknife standard error of a statistic, from its values without one utterance each."""
    values = np.asarray(left)
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.sum((values - values.mean()) ** 2)))
