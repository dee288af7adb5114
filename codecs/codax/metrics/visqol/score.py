"""ViSQOL v3: predicts an opinion score from a reference and a degraded signal.

ViSQOL (Chinen et al., "ViSQOL v3: an open source production ready objective speech and audio metric", 2020) predicts
the opinion of listeners on a coded signal, given the original. The steps are: align the degraded signal and match its
level; compute a gammatone spectrogram of each; compute NSIM of reference patches at their best position in the degraded
signal; average over patches; apply a mapping trained on listening tests. Where the published program deviates from its
documentation or names, this module follows the program, because papers report its scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from codax.audio.arrays import as_signal
from codax.errors import CodaxError
from codax.metrics.visqol import literal, search
from codax.metrics.visqol.alignment import align
from codax.metrics.visqol.errors import VisqolError
from codax.metrics.visqol.frontend import SPEECH_TOP_FREQUENCY, FilterBank, filter_bank, frame_signal, to_decibels
from codax.metrics.visqol.mapping import MAPPINGS, Features, Mapping, mean_opinion_score
from codax.metrics.visqol.steps import Levels, Steps, run_alone

Mode = Literal["audio", "speech"]
MODES: tuple[str, ...] = get_args(Mode)
NOMINAL_RATES = {"audio": 48000, "speech": 16000}  # Hz, the rates the mappings were trained at
DEFAULT_MAPPINGS: dict[str, Mapping] = {"audio": "svr", "speech": "lattice"}
_BANDS = {"audio": 32, "speech": 21}
_PATCH_FRAMES = {"audio": 30, "speech": 20}
_LOWEST_RATE = 2000  # Hz; at lower rates the bands from 50 Hz up do not fit
_WORST_SHARE = 0.10  # fraction of the patches for fvnsim10


@dataclasses.dataclass(frozen=True)
class VisqolResult:
    """Result of ViSQOL for a pair of signals.

    Attributes:
        moslqo: predicted mean opinion score, 1 to 5. Not comparable across modes or mappings.
        vnsim: mean similarity over bands and patches, 1 for equal signals.
        fvnsim: [bands], mean similarity.
        fvnsim10: [bands], mean similarity of the worst tenth of the patches.
        fstdnsim: [bands], standard deviation of similarity over all frames.
        fvdegenergy: [bands], mean level of the degraded signal, decibels above the floor.
        centre_frequencies: [bands], Hz, ascending.
        lag_seconds: lead of the degraded signal over the reference; negative if it was late.
        patches: every reference patch with its similarity and times.
        mode: "audio" or "speech".
        mapping: the mapping of moslqo: "svr", "lattice" or "exponential".
    """

    moslqo: float
    vnsim: float
    fvnsim: np.ndarray
    fvnsim10: np.ndarray
    fstdnsim: np.ndarray
    fvdegenergy: np.ndarray
    centre_frequencies: np.ndarray
    lag_seconds: float
    patches: tuple[search.Patch, ...]
    mode: str
    mapping: str


def visqol(
    reference: ArrayLike,
    degraded: ArrayLike,
    sample_rate: int,
    *,
    mode: Mode = "speech",
    mapping: Mapping | None = None,
    models: str | Path | None = None,
    dtype: DTypeLike = np.float64,
    search_radius: int = 60,
) -> VisqolResult:
    """Scores a degraded signal against its reference.

    Signals are not resampled: use 48 kHz in audio mode and 16 kHz in speech mode, the rates of the mappings. The metric
    is most reliable for clips of 5 to 10 s with little silence; average over many.

    Args:
        reference, degraded: [time] or [time, channels] samples with full scale 1; channels are averaged.
        sample_rate: Hz, of both.
        mode: "audio" (32 bands up to half the sample rate) or "speech" (21 bands up to 8 kHz, voiced patches only).
        mapping: "svr" (the default of audio mode), "lattice" (the default of speech mode) or "exponential" (speech
            mode; used by most published speech scores, and the only one without a model file).
        models: model file, or folder with it; by default the files of the installed visqol-python package.
        dtype: np.float64, or np.float32 for a faster filter bank and search (scores then agree within 5e-5).
        search_radius: maximum shift of a patch, in patches (of 0.6 s in audio mode, 0.4 s in speech mode).

    Returns:
        The score and its components.

    Raises:
        VisqolError: signals that cannot be scored (empty, not finite, silent, too short, without voice), incompatible
            options, or a missing or malformed model file.
    """
    begin, bank = scorer(mode, mapping, models, sample_rate, dtype, search_radius)
    return run_alone(begin(reference, degraded), bank)


def scorer(
    mode: Mode,
    mapping: Mapping | None,
    models: str | Path | None,
    sample_rate: int,
    dtype: DTypeLike,
    search_radius: int,
) -> tuple[Callable[[ArrayLike, ArrayLike], Steps[VisqolResult]], FilterBank]:
    """A function that starts the comparison of (reference, degraded) with `visqol`'s options, and its filter bank."""
    if mode not in MODES:
        raise VisqolError(f"unknown mode {mode!r}, expected one of {', '.join(MODES)}")
    chosen = DEFAULT_MAPPINGS[mode] if mapping is None else mapping
    _check_options(mode, chosen, sample_rate, dtype, search_radius)
    bank = _bank(mode, sample_rate, dtype)

    def begin(reference: ArrayLike, degraded: ArrayLike) -> Steps[VisqolResult]:
        first, second = _mono(reference, "reference"), _mono(degraded, "degraded")
        _check_length(first, bank, "reference")
        second, lag = align(first, second)
        _check_length(second, bank, "degraded")
        second = second * _gain(first, second)
        patches = yield from _compare(first, second, mode, bank, search_radius)
        features = aggregate(patches, bank.hop_seconds)
        return VisqolResult(
            moslqo=mean_opinion_score(features, chosen, models),
            **vars(features),
            centre_frequencies=bank.centre_frequencies,
            lag_seconds=lag / sample_rate,
            patches=tuple(patches),
            mode=mode,
            mapping=chosen,
        )

    return begin, bank


def aggregate(patches: Sequence[search.Patch], hop_seconds: float) -> Features:
    """Aggregates patches, including lost ones, for a frame step of `hop_seconds`."""
    means = np.stack([patch.band_means for patch in patches])  # [patches, bands]
    fvnsim = means.mean(axis=0)
    return Features(
        vnsim=float(fvnsim.mean()),
        fvnsim=fvnsim,
        fvnsim10=worst_mean(means),
        fstdnsim=_pooled_std(patches, fvnsim, hop_seconds),
        fvdegenergy=np.mean([patch.band_degraded_energy for patch in patches], axis=0),
    )


def worst_mean(values: np.ndarray) -> np.ndarray:
    """[bands], mean over the lowest tenth (at least one) of `values` [patches, bands], for each band separately."""
    count = max(1, int(_WORST_SHARE * len(values)))
    return np.sort(values, axis=0)[:count].mean(axis=0)


def _compare(
    reference: np.ndarray, degraded: np.ndarray, mode: str, bank: FilterBank, radius: int
) -> Steps[list[search.Patch]]:
    """Similarity of every reference patch, from aligned and level-matched signals [time]."""
    levels = (yield Levels(frame_signal(reference, bank))), (yield Levels(frame_signal(degraded, bank)))
    left, right = to_decibels(*levels)
    width = _PATCH_FRAMES[mode]
    if mode == "audio":
        starts = search.audio_starts(left.shape[1], width)
    else:
        starts = search.speech_starts(reference, left.shape[1], width, bank.hop)
    starts = search.usable(starts, width, right.shape[1])
    patches = yield from search.match(left, right, starts, width=width, radius=radius, hop_seconds=bank.hop_seconds)
    breaker = literal.TieBreaker(reference, degraded, levels, bank)
    return (yield from search.realign(patches, reference, degraded, bank, breaker))


def _pooled_std(patches: Sequence[search.Patch], fvnsim: np.ndarray, hop_seconds: float) -> np.ndarray:
    """[bands], standard deviation over the frames of all patches, from the mean and deviation of each patch."""
    # A duration of 0.6 s can become 30 or 31 frames of 0.02 s in floating point, as upstream.
    counts = np.array([math.ceil((patch.reference_end - patch.reference_start) / hop_seconds) for patch in patches])
    squares = sum(
        (count - 1) * patch.band_stds**2 + count * patch.band_means**2
        for count, patch in zip(counts, patches, strict=True)
    )
    total = counts.sum()
    return np.sqrt(np.maximum(0.0, (squares - total * fvnsim**2) / (total - 1)))


def _bank(mode: str, sample_rate: int, dtype: DTypeLike) -> FilterBank:
    highest = sample_rate / 2 if mode == "audio" else min(SPEECH_TOP_FREQUENCY, sample_rate / 2)
    return filter_bank(int(sample_rate), _BANDS[mode], highest, np.dtype(dtype).type)


def _mono(signal: ArrayLike, role: Literal["reference", "degraded"]) -> np.ndarray:
    """Checks a signal and returns its channel mean, float64 [time]."""
    try:
        samples = as_signal(signal, np.float64)
    except CodaxError as error:
        raise VisqolError(str(error), role) from error
    samples = samples.sum(axis=1) / samples.shape[1]
    if not samples.any():
        raise VisqolError("the signal is silent", role)
    return samples


def _gain(reference: np.ndarray, degraded: np.ndarray) -> float:
    """Gain that matches the level of `degraded` [time] to that of `reference`."""
    difference = _level(reference, "reference") - _level(degraded, "degraded")
    try:
        return math.pow(10, difference / 20)
    except OverflowError:
        raise VisqolError("the signal is silent next to the reference", "degraded") from None


def _level(signal: np.ndarray, role: Literal["reference", "degraded"]) -> float:
    """Level in dB, with ViSQOL's intermediate steps and rounding."""
    power = float(np.mean(signal**2))
    if not (math.isfinite(power) and power > 0):
        raise VisqolError("the signal is silent" if power == 0 else "the samples are too large", role)
    return literal.sound_pressure_level(signal)


def _check_length(signal: np.ndarray, bank: FilterBank, role: Literal["reference", "degraded"]) -> None:
    if len(signal) <= len(bank.window):
        raise VisqolError(f"too short: {len(signal)} samples, one window has {len(bank.window)}", role)


def _check_options(mode: str, mapping: str, sample_rate: int, dtype: DTypeLike, search_radius: int) -> None:
    if mapping not in MAPPINGS:
        raise VisqolError(f"unknown mapping {mapping!r}, expected one of {', '.join(MAPPINGS)}")
    if (mapping == "svr") != (mode == "audio"):
        supported = "svr" if mode == "audio" else "lattice or exponential"
        raise VisqolError(f"mapping {mapping} was not made for {mode} mode, which takes {supported}")
    if int(sample_rate) != sample_rate or sample_rate < _LOWEST_RATE:
        raise VisqolError(f"sample rate {sample_rate} Hz, expected a whole number of at least {_LOWEST_RATE}")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise VisqolError(f"dtype {np.dtype(dtype)}, expected float64 or float32")
    if search_radius < 1:
        raise VisqolError(f"search radius {search_radius}, expected at least one patch")
