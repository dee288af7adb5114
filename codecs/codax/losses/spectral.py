"""Reconstruction losses: waveform L1 and SoundStream's multi-scale mel loss.

SoundStream (equations 4 and 5) sums, over windows s = 2^6 .. 2^11 with hop s / 4 and over frames t,
    |S_t(x) - S_t(y)|_1 + alpha_s |log S_t(x) - log S_t(y)|_2,   alpha_s = sqrt(s / 2),
with S the 64-bin mel spectrogram. The paper does not say whether S is of magnitudes or powers (magnitudes here) nor how
the sum over frames is scaled (a mean here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from codax.config import LossConfig
from codax.dsp.mel import mel_matrix
from codax.dsp.stft import magnitude, stft


def waveform_l1(target: jax.Array, estimate: jax.Array) -> jax.Array:
    """Mean absolute difference of samples; float32 scalar."""
    return jnp.mean(jnp.abs(target.astype(jnp.float32) - estimate.astype(jnp.float32)))


def mel_distance(
    target: jax.Array,
    estimate: jax.Array,
    *,
    window: int,
    sample_rate: int,
    mels: int,
    log_weight: float,
    log_floor: float,
) -> jax.Array:
    """One scale of the loss.

    Args:
      target, estimate: [batch, time] audio.
      window: STFT window, samples; the hop is a quarter of it.
      log_weight: alpha_s.
      log_floor: added to the spectrogram before the logarithm.

    Returns:
      Scalar: mean over batch and frames of the L1 norm over bins plus alpha_s times the L2 norm of the log difference.
    """
    bank = jnp.asarray(mel_matrix(sample_rate, window, mels))
    # One transform for both signals.
    both = jnp.concatenate([target, estimate], axis=0)
    spectrogram = magnitude(stft(both, window, window // 4)) @ bank
    a, b = jnp.split(spectrogram, 2, axis=0)
    linear = jnp.sum(jnp.abs(a - b), axis=-1)
    log_difference = jnp.log(a + log_floor) - jnp.log(b + log_floor)
    log_norm = jnp.sqrt(jnp.sum(log_difference**2, axis=-1) + 1e-8)
    return jnp.mean(linear + log_weight * log_norm)


def log_weight(config: LossConfig, window: int) -> float:
    """alpha_s of a window of `window` samples."""
    return math.sqrt(window / 2) if config.log_weight == "sqrt_half_window" else 1.0


def multiscale_mel(
    target: jax.Array,
    estimate: jax.Array,
    config: LossConfig,
    *,
    sample_rate: int,
    windows: Sequence[int] | None = None,
) -> jax.Array:
    """Sum of `mel_distance` over windows.

    Args:
      target, estimate: [batch, time, channels] audio; channels are treated as further examples.
      windows: the scales of this call; None = all of `config.windows`.

    Returns:
      Scalar. With `config.normalize_windows`, every scale is divided by (1 + alpha_s) times the number of mel bins, and
      the sum by the number of windows.
    """
    a = jnp.moveaxis(target.astype(jnp.float32), -1, 1).reshape(-1, target.shape[1])
    b = jnp.moveaxis(estimate.astype(jnp.float32), -1, 1).reshape(-1, target.shape[1])
    windows = tuple(config.windows if windows is None else windows)
    total = jnp.zeros(())
    for window in windows:
        alpha = log_weight(config, window)
        value = mel_distance(
            a, b, window=window, sample_rate=sample_rate, mels=config.mels, log_weight=alpha, log_floor=config.log_floor
        )
        total += value / ((1 + alpha) * config.mels) if config.normalize_windows else value
    return total / len(windows) if config.normalize_windows else total
