"""Spectrogram images."""

from __future__ import annotations

import io

import numpy as np


def spectrograms(signals: dict[str, np.ndarray], sample_rate: int) -> tuple[bytes, tuple[int, int]]:
    """Draws magnitude spectrograms in dB, stacked vertically.

    Args:
      signals: title -> samples [time].
      sample_rate: Hz.

    Returns:
      A PNG image and its (width, height) in pixels.
    """
    import librosa
    from matplotlib.figure import Figure

    window = 512 if sample_rate <= 24_000 else 1024
    figure = Figure(figsize=(8, 1.6 * len(signals)), dpi=80, layout="constrained")
    rows = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
    for row, (name, signal) in zip(rows, signals.items(), strict=True):
        padded = np.pad(signal, (0, max(0, window - len(signal))))
        spectrum = librosa.stft(padded, n_fft=window, center=False)
        decibels = 20 * np.log10(np.abs(spectrum) / (window / 4) + 1e-5)
        row.imshow(
            decibels,
            origin="lower",
            aspect="auto",
            vmin=-90,
            vmax=0,
            cmap="magma",
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
