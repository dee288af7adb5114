"""Selection of reference patches, and search of their position in the degraded signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from codax.dsp.distances import rms
from codax.metrics.nsim import Nsim, nsim
from codax.metrics.visqol.alignment import align_cuts, cut
from codax.metrics.visqol.errors import VisqolError
from codax.metrics.visqol.frontend import FilterBank, frame_signal, to_decibels
from codax.metrics.visqol.literal import Tie, TieBreaker
from codax.metrics.visqol.steps import Levels, Search, Steps

# RMS on the 16-bit scale above which a chunk is active, with the signal's maximum at full scale.
ACTIVE_RMS = 5000.0
_CUTS_PER_BATCH = 16
# Similarities closer than this may be in the wrong order because of rounding, and are compared again exactly.
_TIE = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-6}


@dataclasses.dataclass(frozen=True)
class Patch:
    """One reference patch and the degraded patch it was compared with.

    A patch without a counterpart has similarity 0, zero band means and degraded times of 0, while its standard
    deviations and energies are those of the best candidate: ViSQOL's aggregates depend on it.

    Attributes:
        similarity: NSIM.
        band_means, band_stds, band_degraded_energy: [bands], see `codax.metrics.nsim.Nsim`.
        reference_start, reference_end, degraded_start, degraded_end: seconds, the degraded ones after alignment.
    """

    similarity: float
    band_means: np.ndarray
    band_stds: np.ndarray
    band_degraded_energy: np.ndarray
    reference_start: float
    reference_end: float
    degraded_start: float
    degraded_end: float

    @property
    def lost(self) -> bool:
        """Whether the search found no counterpart."""
        return self.degraded_start == 0 and self.degraded_end == 0


def audio_starts(frames: int, width: int) -> np.ndarray:
    """First frames of the reference patches in audio mode: all patches, starting half a patch in.

    Args:
        frames: length of the reference spectrogram.
        width: frames of a patch.

    Raises:
        VisqolError: the reference is shorter than one and a half patches.
    """
    first = width // 2
    if frames < width + first:
        raise VisqolError(f"too short for audio mode: {frames} frames of 20 ms, at least {width + first}", "reference")
    limit = frames - width if first < frames - width else first + 1
    return np.arange(first, limit, width) - 1


def speech_starts(reference: np.ndarray, frames: int, width: int, hop: int) -> np.ndarray:
    """First frames of the reference patches in speech mode: those with voice activity.

    Args:
        reference: [time] samples.
        frames: length of the reference spectrogram.
        width: frames of a patch.
        hop: samples of a frame step, the detector's chunk.

    Raises:
        VisqolError: no patch has voice activity.
    """
    first = width // 2 - 1
    count = (frames - first) // width
    loudest = reference.max()
    if loudest <= 0:
        raise VisqolError("no sample above zero, the activity detector needs one", "reference")
    if count < 1:
        raise VisqolError(f"too short for speech mode: {frames} frames of 20 ms, at least {first + width}", "reference")
    # The offset is `first` SAMPLES although frames were probably intended, and the scale is the largest value, not the
    # largest magnitude. Both affect the selection of patches.
    samples = (reference / loudest)[first : first + count * width * hop]
    voiced = voice_activity(samples, hop).reshape(count, width).any(axis=1)
    if not voiced.any():
        raise VisqolError("no voice activity found", "reference")
    return first + width * np.flatnonzero(voiced)


def voice_activity(samples: np.ndarray, chunk: int) -> np.ndarray:
    """bool [chunks]: voice activity of `samples` [time] (full scale 1) in chunks of `chunk` samples."""
    integers = np.trunc(np.clip(samples * 32768, -32768, 32767))
    return _hold(rms(integers.reshape(-1, chunk)) >= ACTIVE_RMS)


def usable(starts: np.ndarray, width: int, degraded_frames: int) -> np.ndarray:
    """`starts` without patches that begin more than half a patch after the end of the degraded spectrogram.

    Raises:
        VisqolError: no patch remains.
    """
    usable_starts = starts[starts - width // 2 <= degraded_frames]
    if not len(usable_starts):
        raise VisqolError("too short: it ends before the first patch of the reference", "degraded")
    return usable_starts


def match(
    reference: np.ndarray, degraded: np.ndarray, starts: np.ndarray, *, width: int, radius: int, hop_seconds: float
) -> Steps[list[Patch]]:
    """Finds the position of every reference patch in the degraded spectrogram.

    Dynamic programming over patches and offsets maximises the sum of similarities with strictly increasing offsets; a
    patch may also be skipped.

    Args:
        reference, degraded: [bands, frames], decibels.
        starts: [patches], first frames of the reference patches.
        width: frames of a patch.
        radius: maximum shift of a patch, in patches.
        hop_seconds: frame step.
    """
    frames = degraded.shape[1]
    first = np.maximum(0, starts - radius * width)
    last = np.minimum(frames - 1, starts + radius * width)
    patches = np.stack([reference[:, start : start + width] for start in starts])
    scores = yield Search(patches, degraded, first, last)
    offsets = _best_path(scores, first, last)
    padded = np.pad(degraded, ((0, 0), (0, width))).astype(np.float64)
    matched = nsim(
        patches.astype(np.float64), np.stack([padded[:, abs(offset) : abs(offset) + width] for offset, _ in offsets])
    )
    result = []
    for p, (start, (offset, is_lost)) in enumerate(zip(starts.tolist(), offsets, strict=True)):
        times = {
            "reference_start": start * hop_seconds,
            "reference_end": start * hop_seconds + width * hop_seconds,
            "degraded_start": 0.0 if is_lost else offset * hop_seconds,
            "degraded_end": 0.0 if is_lost else offset * hop_seconds + width * hop_seconds,
        }
        patch = _patch(matched, p, times)
        if is_lost:
            patch = dataclasses.replace(patch, similarity=0.0, band_means=np.zeros_like(patch.band_means))
        result.append(patch)
    return result


def realign(
    patches: Sequence[Patch], reference: np.ndarray, degraded: np.ndarray, bank: FilterBank, breaker: TieBreaker
) -> Steps[list[Patch]]:
    """Aligns each matched pair in the time domain and keeps the new score unless it is lower.

    Args:
        patches: the result of `match`.
        reference, degraded: [time] samples, level-matched.
        bank: the filter bank of the spectrograms.
        breaker: for these signals; used if the two scores are equal up to rounding.
    """
    result: list[Patch] = []
    for begin in range(0, len(patches), _CUTS_PER_BATCH):
        batch = patches[begin : begin + _CUTS_PER_BATCH]
        pairs = [None if patch.lost else _aligned_pair(patch, reference, degraded, bank.sample_rate) for patch in batch]
        # One call of the filter bank for all cuts of the batch.
        frames = [frame_signal(signal, bank) for pair in pairs if pair for signal in pair[:2]]
        levels = (yield Levels(np.concatenate(frames))) if frames else np.empty((0, 0))
        spectrograms = iter(np.split(levels, np.cumsum([len(cut_frames) for cut_frames in frames]), axis=1))
        candidates = []
        for patch, pair in zip(batch, pairs, strict=True):
            if pair is None:
                continue
            left, right = to_decibels(next(spectrograms), next(spectrograms))
            scores = nsim(left.astype(np.float64), right.astype(np.float64))
            candidates.append((patch, _patch(scores, (), _aligned_times(patch, *pair, bank.sample_rate)), pair[:2]))
        better = iter(_better(candidates, bank, breaker))
        result += [patch if patch.lost else next(better) for patch in batch]
    return result


def _hold(active: np.ndarray) -> np.ndarray:
    """A chunk is unvoiced if it and the two before it are inactive; the first two chunks are always voiced."""
    voiced = active.copy()
    voiced[:2] = True
    voiced[2:] |= active[1:-1] | active[:-2]
    return voiced


def _best_path(scores: np.ndarray, first: np.ndarray, last: np.ndarray) -> list[tuple[int, bool]]:
    """(offset, lost) for every patch, from `scores` [patches, offsets] within first..last."""
    count, frames = scores.shape
    total = np.zeros((count, frames))  # cells outside the search range count as 0
    back = np.full((count, frames), -1)
    for p in range(count):
        here = slice(first[p], last[p] + 1)
        value = scores[p, here].astype(np.float64)
        if p > 0:
            before = total[p - 1]
            best, index = _best_before(before, first[p - 1])
            value = value + best[here]
            passed_over = before[here] > value
            total[p, here] = np.where(passed_over, before[here], value)
            back[p, here] = np.where(passed_over, np.arange(frames)[here], index[here])
        else:
            total[p, here] = value
    offset = int(first[-1] + np.argmax(total[-1, first[-1] : last[-1] + 1]))
    path = []
    for p in range(count - 1, -1, -1):
        previous = int(back[p, offset])
        path.append((offset, previous == offset))
        offset = previous
    return path[::-1]


def _best_before(total: np.ndarray, lowest: int) -> tuple[np.ndarray, np.ndarray]:
    """For every offset o: the largest total in lowest..o-1 and its last position; both [offsets].

    Where that range is empty: the lowest float and -1.
    """
    count = len(total)
    best = np.full(count, np.finfo(np.float64).min)
    index = np.full(count, -1)
    running = np.maximum.accumulate(total[lowest:])
    reached = np.where(total[lowest:] == running, np.arange(lowest, count), -1)
    best[lowest + 1 :] = running[:-1]
    index[lowest + 1 :] = np.maximum.accumulate(reached)[:-1]
    return best, index


def _aligned_pair(patch: Patch, reference: np.ndarray, degraded: np.ndarray, sample_rate: int):
    """The two cuts of a matched patch, aligned and equally long [time], and the lag in seconds."""
    return align_cuts(
        cut(reference, patch.reference_start, patch.reference_end, sample_rate),
        cut(degraded, patch.degraded_start, patch.degraded_end, sample_rate),
        sample_rate,
    )


def _aligned_times(
    matched: Patch, reference: np.ndarray, degraded: np.ndarray, lag: float, sample_rate: int
) -> dict[str, float]:
    """Times of a patch whose aligned cuts are `reference` and `degraded` [time], `lag` in seconds."""
    reference_start = matched.reference_start + lag if lag > 0 else matched.reference_start
    degraded_start = matched.degraded_start - lag if lag <= 0 else matched.degraded_start
    return {
        "reference_start": reference_start,
        "reference_end": reference_start + len(reference) / sample_rate,
        "degraded_start": degraded_start,
        "degraded_end": degraded_start + len(degraded) / sample_rate,
    }


def _better(
    candidates: Sequence[tuple[Patch, Patch, tuple[np.ndarray, np.ndarray]]], bank: FilterBank, breaker: TieBreaker
) -> list[Patch]:
    """Chooses between each patch as matched and as aligned, given its aligned cuts [time]; ties prefer aligned."""
    differences = [aligned.similarity - matched.similarity for matched, aligned, _ in candidates]
    ties = [
        Tie(
            start=round(matched.reference_start / bank.hop_seconds),
            offset=round(matched.degraded_start / bank.hop_seconds),
            width=round((matched.reference_end - matched.reference_start) / bank.hop_seconds),
            cuts=cuts,
        )
        for (matched, _, cuts), difference in zip(candidates, differences, strict=True)
        if abs(difference) <= _TIE[bank.window.dtype]
    ]
    verdicts = iter(breaker.prefers_cuts(ties) if ties else [])
    result = []
    for (matched, aligned, _), difference in zip(candidates, differences, strict=True):
        wins = next(verdicts) if abs(difference) <= _TIE[bank.window.dtype] else difference > 0
        result.append(aligned if wins else matched)
    return result


def _patch(scores: Nsim, index: int | tuple[()], times: dict[str, float]) -> Patch:
    """The patch at `index` of a batch of scores."""
    return Patch(
        similarity=float(scores.similarity[index]),
        band_means=scores.band_means[index],
        band_stds=scores.band_stds[index],
        band_degraded_energy=scores.band_degraded_energy[index],
        **times,
    )
