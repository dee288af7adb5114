"""What happens to a crop on its way into a batch: NumPy functions on float32 [time, channels]."""

from __future__ import annotations

import numpy as np

PEAK = 0.95  # of a normalised crop
_FAINT = 1e-3  # crops that stay below this are pauses: normalising would only amplify the hiss


def fit_length(audio: np.ndarray, samples: int) -> np.ndarray:
    """Exactly `samples` frames: cut, or filled with zeros at the end."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.pad(audio, ((0, samples - len(audio)), (0, 0)))


def loop(audio: np.ndarray, samples: int) -> np.ndarray:
    """Exactly `samples` frames: cut, or repeated from the start."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.tile(audio, (-(-samples // len(audio)), 1))[:samples]


def fit_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """The wanted number of channels: the mean for one, copies of a single one, else the first ones and silence."""
    have = audio.shape[1]
    if have == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=1, keepdims=True, dtype=np.float32)
    if have == 1:
        return np.repeat(audio, channels, axis=1)
    return audio[:, :channels] if have > channels else np.pad(audio, ((0, 0), (0, channels - have)))


def normalize_peak(audio: np.ndarray) -> np.ndarray:
    """Scaled to peak `PEAK`; a pause stays as it is."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio * np.float32(PEAK / peak) if peak >= _FAINT else audio


def decibels(gain_db: float) -> np.float32:
    """Amplitude factor of a gain in dB."""
    return np.float32(10.0 ** (gain_db / 20.0))


def mix(clean: np.ndarray, noise: np.ndarray, gain_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Adds noise at `gain_db` to clean audio, both peak-normalised first.

    Returns:
      (noisy, clean), scaled by one common factor where the sum would leave full scale.
    """
    clean, noise = normalize_peak(clean), normalize_peak(noise)
    noisy = clean + noise * decibels(gain_db)
    scale = np.float32(min(1.0, 1.0 / max(float(np.abs(noisy).max(initial=0.0)), 1e-9)))
    return noisy * scale, clean * scale
