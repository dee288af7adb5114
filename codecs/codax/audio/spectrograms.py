"""Spectrogram images."""

from __future__ import annotations

import io

import numpy as np

_FLOOR, _MAP = -90.0, "magma"  # dB of the darkest colour; 0 dB is that of a full-scale sine
_COLUMNS, _ROWS = 800, 128  # of pixels at most, in a picture without axes


def spectrograms(signals: dict[str, np.ndarray], sample_rate: int) -> tuple[bytes, tuple[int, int]]:
    """Draws magnitude spectrograms in dB, stacked vertically, with axes.

    Args:
      signals: title -> samples [time].
      sample_rate: Hz.

    Returns:
      A PNG image and its (width, height) in pixels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 * len(signals)), dpi=80, layout="constrained")
    rows = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
    for row, (name, signal) in zip(rows, signals.items(), strict=True):
        row.imshow(
            _decibels(signal, sample_rate),
            origin="lower",
            aspect="auto",
            vmin=_FLOOR,
            vmax=0,
            cmap=_MAP,
            extent=(0, len(signal) / sample_rate, 0, sample_rate / 2000),
        )
        row.set_title(name, fontsize=8, pad=2)
        row.set_ylabel("kHz", fontsize=7)
        row.tick_params(labelsize=7)
    rows[-1].set_xlabel("seconds", fontsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    width, height = figure.get_size_inches() * figure.dpi
    return file.getvalue(), (round(width), round(height))


def spectrogram(signal: np.ndarray, sample_rate: int) -> bytes:
    """A magnitude spectrogram in dB of samples [time], as a PNG image without axes.

    Its left and right edges are the first and the last sample, its bottom and top 0 Hz and half the sample rate.
    """
    from matplotlib.image import imsave

    decibels = _averaged(_averaged(_decibels(signal, sample_rate), _COLUMNS).T, _ROWS).T
    file = io.BytesIO()
    imsave(file, decibels, vmin=_FLOOR, vmax=0, cmap=_MAP, origin="lower", format="png")
    return file.getvalue()


def _averaged(values: np.ndarray, most: int) -> np.ndarray:
    """Values [a, b] with at most `most` columns, by averages over neighbours."""
    count = min(most, values.shape[1])
    edges = np.arange(count) * values.shape[1] // count
    return np.add.reduceat(values, edges, axis=1) / np.diff([*edges, values.shape[1]])


def _decibels(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Magnitudes in dB, [frequencies, frames]."""
    import librosa

    window = 512 if sample_rate <= 24_000 else 1024
    padded = np.pad(signal, (0, max(0, window - len(signal))))
    spectrum = librosa.stft(padded, n_fft=window, center=False)
    return 20 * np.log10(np.abs(spectrum) / (window / 4) + 1e-5)
