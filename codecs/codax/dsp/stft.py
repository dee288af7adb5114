"""Short-time Fourier transform of [batch, time] signals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def hann(window: int) -> np.ndarray:
    """Returns the periodic Hann window, float32 [window]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def window_norm(window: int) -> float:
    """Returns the Euclidean norm of `hann(window)`."""
    return float(np.sqrt(np.sum(hann(window) ** 2)))


def frame(x: jax.Array, window: int, hop: int) -> jax.Array:
    """Cuts [batch, time] into overlapping frames [batch, frames, window], frames = (time - window) // hop + 1.

    If `hop` divides `window`, the frames are concatenated from views of hop-sized blocks, whose gradient consists of
    additions instead of a scatter.

    Raises:
      ValueError: the signal is shorter than the window.
    """
    frames = (x.shape[1] - window) // hop + 1
    if frames < 1:
        raise ValueError(f"a signal of {x.shape[1]} samples is shorter than the window of {window}")
    if window % hop == 0:
        ratio = window // hop
        blocks = x[:, : (frames + ratio - 1) * hop].reshape(x.shape[0], -1, hop)
        return jnp.concatenate([blocks[:, i : i + frames] for i in range(ratio)], axis=-1)
    index = np.arange(frames)[:, None] * hop + np.arange(window)[None, :]
    return x[:, index]


def stft(x: jax.Array, window: int, hop: int, *, pad: bool = True) -> jax.Array:
    """Returns the spectrogram of [batch, time] with a Hann window, complex64 [batch, frames, window // 2 + 1].

    With `pad`, (window - hop) / 2 zeros are added on each side, which gives time // hop frames.
    """
    if pad:
        left = (window - hop) // 2
        x = jnp.pad(x, ((0, 0), (left, window - hop - left)))
    return jnp.fft.rfft(frame(x.astype(jnp.float32), window, hop) * hann(window), axis=-1)


def magnitude(spectrum: jax.Array, floor: float = 1e-9) -> jax.Array:
    """Returns the absolute value of `spectrum`, with a finite gradient at zero."""
    return jnp.sqrt(spectrum.real**2 + spectrum.imag**2 + floor)
