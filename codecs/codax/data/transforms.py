"""Transforms of a crop before batching: NumPy functions on float32 [time, channels]."""

from __future__ import annotations

import numpy as np

PEAK = 0.95  # of a normalised crop
_FAINT = 1e-3  # crops below this peak are pauses: normalising them would only amplify noise


def fit_length(audio: np.ndarray, samples: int) -> np.ndarray:
    """Exactly `samples` frames: truncated, or padded with zeros at the end."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.pad(audio, ((0, samples - len(audio)), (0, 0)))


def loop(audio: np.ndarray, samples: int) -> np.ndarray:
    """Exactly `samples` frames: truncated, or repeated from the start."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.tile(audio, (-(-samples // len(audio)), 1))[:samples]


def fit_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """Converts to `channels` channels: the mean for one, copies of a single one, else cut or padded with zeros."""
    current = audio.shape[1]
    if current == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=1, keepdims=True, dtype=np.float32)
    if current == 1:
        return np.repeat(audio, channels, axis=1)
    return audio[:, :channels] if current > channels else np.pad(audio, ((0, 0), (0, channels - current)))


def normalize_peak(audio: np.ndarray) -> np.ndarray:
    """Scales to peak `PEAK`; a pause is returned unchanged."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio * np.float32(PEAK / peak) if peak >= _FAINT else audio


def decibels(gain_db: float) -> np.float32:
    """Amplitude factor of a gain in dB."""
    return np.float32(10.0 ** (gain_db / 20.0))


def mix(clean: np.ndarray, noise: np.ndarray, gain_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Adds noise at `gain_db` to clean audio, both peak-normalised first.

    Returns:
      (noisy, clean), both scaled by one factor if the sum would exceed full scale.
    """
    clean, noise = normalize_peak(clean), normalize_peak(noise)
    noisy = clean + noise * decibels(gain_db)
    scale = np.float32(min(1.0, 1.0 / max(float(np.abs(noisy).max(initial=0.0)), 1e-9)))
    return noisy * scale, clean * scale
