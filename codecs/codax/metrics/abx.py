"""ABX error: how often a phone is closer to another phone than to one of its own kind (Schatz et al. 2013).

For instances A and X of one phone and B of another, an error is d(A, X) > d(B, X); equality is half an error. d is the
mean angle along the best time alignment of both (dynamic time warping), divided by pi. Errors are averaged over
instances, then over speakers and contexts, then over pairs of phones, as in Libri-light (arXiv 1912.07875).
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

_PAIRS = 4096  # pairs of instances whose distances are computed at once
_PER_KIND = 40  # maximum number of instances of one phone by one speaker in the same context


@dataclasses.dataclass(frozen=True, eq=False)
class Instance:
    """One spoken phone.

    Attributes:
      phone: its label.
      neighbours: the previous and the next phone; None if contexts need not match.
      speaker: its speaker.
      utterance: number of the recording.
      features: float [frames, channels], at least one frame.
    """

    phone: Hashable
    neighbours: Hashable
    speaker: str
    utterance: int
    features: np.ndarray


def distances(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    """Distances float64 [n] of pairs of features."""
    values = np.zeros(len(first))
    for i in range(0, len(first), _PAIRS):
        values[i : i + _PAIRS] = _warped(first[i : i + _PAIRS], second[i : i + _PAIRS])
    return values


def _padded(features: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Zero-padded unit vectors [n, longest, channels], and the number of frames of each."""
    lengths = np.asarray([len(x) for x in features])
    out = np.zeros((len(features), lengths.max(), features[0].shape[1]), np.float32)
    for row, x in zip(out, features, strict=True):
        row[: len(x)] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return out, lengths


def _warped(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    (a, rows), (b, columns) = _padded(first), _padded(second)
    angle = np.arccos(np.clip(np.einsum("nic,njc->nij", a, b), -1, 1)).astype(np.float64) / np.pi
    count, height, width = angle.shape
    # Smallest sums and the lengths of their paths; ties prefer the diagonal, then the upper cell.
    total = np.full((count, height + 1, width + 1), np.inf)
    steps = np.zeros((count, height + 1, width + 1), np.int32)
    total[:, 0, 0] = 0
    for i in range(height):
        for j in range(width):
            before = np.stack([total[:, i, j], total[:, i, j + 1], total[:, i + 1, j]])
            lengths = np.stack([steps[:, i, j], steps[:, i, j + 1], steps[:, i + 1, j]])
            best = before.argmin(axis=0)[None]
            total[:, i + 1, j + 1] = angle[:, i, j] + np.take_along_axis(before, best, 0)[0]
            steps[:, i + 1, j + 1] = 1 + np.take_along_axis(lengths, best, 0)[0]
    last = (np.arange(count), rows, columns)
    return total[last] / steps[last]


class Abx:
    """The distances of a set of instances; `error` counts the errors, optionally without one utterance."""

    def __init__(self, instances: Sequence[Instance], *, seed: int = 0) -> None:
        """Computes all distances.

        Args:
          instances: at most 40 per kind are used, drawn at random.
          seed: of the random draw.
        """
        rng = np.random.default_rng(seed)
        cells: dict[Any, dict[Any, list[Instance]]] = defaultdict(lambda: defaultdict(list))
        for instance in instances:
            cells[instance.neighbours][instance.phone, instance.speaker].append(instance)
        self._cells = []
        for kinds in cells.values():
            chosen: list[Instance] = []
            for members in kinds.values():
                kept = rng.permutation(len(members))[:_PER_KIND] if len(members) > _PER_KIND else range(len(members))
                chosen += [members[i] for i in kept]
            if len({x.phone for x in chosen}) > 1:
                self._cells.append(_Cell(chosen))

    def error(self, *, across: bool = False, without: int | None = None) -> float | None:
        """Fraction of errors, 0 to 1; None if there are no comparisons.

        Args:
          across: whether X is by another speaker than A and B.
          without: number of an utterance to leave out.
        """
        by_pair = defaultdict(list)
        for cell in self._cells:
            for pair, value in cell.errors(across, without):
                by_pair[pair].append(value)
        return float(np.mean([np.mean(values) for values in by_pair.values()])) if by_pair else None


class _Cell:
    """Instances in the same context, and all their distances."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._utterances = np.asarray([x.utterance for x in instances])
        self._members: dict[Any, list[int]] = defaultdict(list)
        for i, instance in enumerate(instances):
            self._members[instance.phone, instance.speaker].append(i)
        upper = np.triu_indices(len(instances), 1)
        features = [x.features for x in instances]
        values = distances([features[i] for i in upper[0]], [features[i] for i in upper[1]])
        self._distance = np.zeros((len(instances), len(instances)))
        self._distance[upper] = values
        self._distance += self._distance.T

    def errors(self, across: bool, without: int | None) -> list[tuple[Any, float]]:
        """(A's and B's phones, error) of every pair of kinds, over the speakers of this cell."""
        kept = {
            kind: np.asarray([i for i in m if self._utterances[i] != without], int) for kind, m in self._members.items()
        }
        values = []
        for (phone, speaker), same in kept.items():
            for (other, theirs), different in kept.items():
                if other == phone or theirs != speaker or not len(different):
                    continue
                for (third, voice), probes in kept.items():
                    if third != phone or (voice == speaker) == across:
                        continue
                    value = self._share(probes, same, different)
                    if value is not None:
                        values.append(((phone, other), value))
        return values

    def _share(self, probes: np.ndarray, same: np.ndarray, different: np.ndarray) -> float | None:
        """Mean over X in `probes`, A in `same` and B in `different`, with A not equal to X."""
        errors = []
        for x in probes:
            to_same = self._distance[x, same[same != x]]
            if len(to_same):
                to_other = np.sort(self._distance[x, different])
                nearer = np.searchsorted(to_other, to_same, "left")  # B closer than A
                equal = np.searchsorted(to_other, to_same, "right") - nearer
                errors.append(np.mean((nearer + 0.5 * equal) / len(to_other)))
        return float(np.mean(errors)) if errors else None
