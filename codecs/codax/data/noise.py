"""Synthetic noise for denoising recipes without noise recordings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft

SPEC = "starter-noise"  # value of `data.noise_source` that selects it


def synthetic(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Noise of a random kind, float32 [samples] with peak 1, determined by `rng`."""
    kinds: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...] = (
        _coloured,
        _hum,
        _speech_shaped,
        _babble,
    )
    kind = kinds[rng.choice(len(kinds), p=(0.4, 0.15, 0.2, 0.25))]
    noise = kind(rng, samples, sample_rate)
    return (noise / max(float(np.abs(noise).max()), 1e-9)).astype(np.float32)


def _shaped(rng: np.random.Generator, samples: int, gain: Callable[[np.ndarray], np.ndarray], rate: int) -> np.ndarray:
    """Gaussian noise of about unit power whose amplitude spectrum is `gain(frequency in Hz)`."""
    size = int(scipy.fft.next_fast_len(max(samples, 64), real=True) or samples)
    shape = gain(np.fft.rfftfreq(size, 1 / rate)).astype(np.float32)
    shape *= np.float32(np.sqrt(size) / max(float(np.sqrt((shape**2).mean())), 1e-9) / np.sqrt(2))
    bins = rng.standard_normal((len(shape), 2), np.float32).view(np.complex64)[:, 0]
    bins[0] = 0.0  # no DC offset
    return np.asarray(scipy.fft.irfft(bins * shape, size))[:samples]


def _coloured(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """A random spectral slope: from brown (-6 dB per octave) through pink and white to slightly blue."""
    exponent = rng.uniform(-1.0, 0.2)
    return _shaped(rng, samples, lambda f: np.maximum(f, 20.0) ** exponent, rate)


def _hum(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """Mains hum or a machine: harmonics plus pink noise."""
    base = rng.choice((50.0, 60.0, rng.uniform(80.0, 400.0)))
    times = np.arange(samples) / rate
    out = rng.uniform(0.02, 0.3) * _shaped(rng, samples, lambda f: np.maximum(f, 20.0) ** -0.5, rate)
    for harmonic in range(1, 1 + int(rng.integers(3, 12))):
        if base * harmonic < rate / 2:
            phase = rng.uniform(0, 2 * np.pi)
            out += rng.uniform(0.2, 1.0) / harmonic * np.sin(2 * np.pi * base * harmonic * times + phase)
    return out


def _speech_gain(frequencies: np.ndarray) -> np.ndarray:
    """Approximate long-term spectrum of speech: flat from 100 to 500 Hz, then falling by 9 dB per octave."""
    low = np.clip(frequencies / 100.0, 0.0, 1.0)
    return low * np.maximum(frequencies / 500.0, 1.0) ** -1.5


def _speech_shaped(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    return _shaped(rng, samples, _speech_gain, rate)


def _babble(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """Speech-shaped noises with random envelopes at syllable rate, like a crowd."""
    out = np.zeros(samples, np.float32)
    slow = 50  # Hz, sample rate of the envelopes
    count = samples * slow // rate + 2
    for _ in range(int(rng.integers(2, 6))):
        syllables = _shaped(rng, count, lambda f: np.exp(-0.5 * ((f - 4.0) / 2.5) ** 2), slow)
        envelope = np.interp(np.arange(samples) * (slow / rate), np.arange(count), np.maximum(syllables, 0.0))
        shift = rng.uniform(0.7, 1.5)
        out += envelope.astype(np.float32) * _shaped(rng, samples, lambda f, s=shift: _speech_gain(f / s), rate)
    return out
