"""Reconstruction losses: waveform L1 and the multi-scale mel losses of SoundStream and later codecs.

SoundStream (equations 4 and 5) sums, over windows s = 2^6 .. 2^11 with hop s / 4 and over frames t,
    |S_t(x) - S_t(y)|_1 + alpha_s |log S_t(x) - log S_t(y)|_2,   alpha_s = sqrt(s / 2),
with S the 64-bin mel spectrogram. The paper states neither whether S holds magnitudes or powers (magnitudes here) nor
the scale of the sum over frames (a mean here).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from codax.config import LossConfig
from codax.dsp.mel import mel_matrix
from codax.dsp.stft import magnitude, stft, window_norm


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
    """Computes one scale of SoundStream's loss.

    Args:
      target, estimate: [batch, time] audio.
      window: STFT window, samples; the hop is a quarter of it.
      log_weight: alpha_s.
      log_floor: added to the spectrogram before the logarithm.

    Returns:
      Scalar: mean over batch and frames of the L1 norm over bins plus alpha_s times the L2 norm of the log difference.
    """
    bank = jnp.asarray(mel_matrix(sample_rate, window, mels))
    both = jnp.concatenate([target, estimate], axis=0)
    spectrogram = magnitude(stft(both, window, window // 4)) @ bank
    a, b = jnp.split(spectrogram, 2, axis=0)
    linear = jnp.sum(jnp.abs(a - b), axis=-1)
    log_difference = jnp.log(a + log_floor) - jnp.log(b + log_floor)
    log_norm = jnp.sqrt(jnp.sum(log_difference**2, axis=-1) + 1e-8)
    return jnp.mean(linear + log_weight * log_norm)


def encodec_distance(
    target: jax.Array, estimate: jax.Array, *, window: int, sample_rate: int, mels: int, min_hz: float
) -> jax.Array:
    """Computes one scale of EnCodec's loss (arXiv 2210.13438, equation 2) with alpha = 1.

    S holds mel magnitudes of an STFT divided by its window's norm. The paper does not state the scale of the norms:
    here, L1 is the mean and L2 the root mean square over bins, both averaged over frames.
    """
    bank = jnp.asarray(mel_matrix(sample_rate, window, mels, min_hz=min_hz))
    both = jnp.concatenate([target, estimate], axis=0)
    spectrogram = magnitude(stft(both, window, window // 4) / window_norm(window)) @ bank
    a, b = jnp.split(spectrogram, 2, axis=0)
    return jnp.mean(jnp.abs(a - b)) + jnp.mean(jnp.sqrt(jnp.mean((a - b) ** 2, axis=-1) + 1e-12))


def audiocraft_distance(
    target: jax.Array, estimate: jax.Array, *, window: int, sample_rate: int, mels: int, min_hz: float, log_floor: float
) -> jax.Array:
    """Computes one scale of audiocraft's loss.

    It is the mean absolute difference of mel powers plus `audiocraft_weight` times the mean squared difference of
    their decimal logarithms. Edges are reflected, the mel scale is HTK's, and the STFT is divided by its window's norm.
    """
    bank = jnp.asarray(mel_matrix(sample_rate, window, mels, min_hz=min_hz, htk=True, keep_empty=True))
    both = jnp.concatenate([target, estimate], axis=0)
    hop = window // 4
    pad = (window - hop) // 2
    missing = -(both.shape[1] + 2 * pad - window) % hop
    padded = jnp.pad(jnp.pad(both, ((0, 0), (pad, pad)), mode="reflect"), ((0, 0), (0, missing)))
    spectrum = stft(padded, window, hop, pad=False) / window_norm(window)
    power = (spectrum.real**2 + spectrum.imag**2) @ bank
    a, b = jnp.split(power, 2, axis=0)
    squared = jnp.mean((jnp.log10(a + log_floor) - jnp.log10(b + log_floor)) ** 2)
    return jnp.mean(jnp.abs(a - b)) + audiocraft_weight(window) * squared


def audiocraft_weight(window: int) -> float:
    """Weight of the logarithms in `audiocraft_distance`."""
    return math.sqrt(window - 1)


def log_mel_l1(
    target: jax.Array, estimate: jax.Array, bank: np.ndarray, *, window: int, hop: int, pad: int, log_floor: float
) -> jax.Array:
    """Mean absolute difference of the logarithms of mel magnitudes, which are clamped to at least `log_floor`.

    The signals [batch, time] are reflected by `pad` samples on both sides.
    """
    both = jnp.concatenate([target, estimate], axis=0)
    spectrum = stft(jnp.pad(both, ((0, 0), (pad, pad)), mode="reflect"), window, hop, pad=False)
    mel = jnp.log(jnp.maximum(magnitude(spectrum, 1e-12) @ jnp.asarray(bank), log_floor))
    a, b = jnp.split(mel, 2, axis=0)
    return jnp.mean(jnp.abs(a - b))


def speechtokenizer_distance(
    target: jax.Array, estimate: jax.Array, *, window: int, sample_rate: int, mels: int, min_hz: float, log_floor: float
) -> jax.Array:
    """Computes one scale of SpeechTokenizer's loss: `log_mel_l1` with a hop of 15/64 of the window.

    The mel scale is HTK's, with filters of equal area.
    """
    bank = mel_matrix(sample_rate, window, mels, min_hz=min_hz, htk=True, keep_empty=True, equal_area=True)
    hop = window * 15 // 64
    pad = (window - hop) // 2
    return log_mel_l1(target, estimate, bank, window=window, hop=hop, pad=pad, log_floor=log_floor)


def dac_distance(
    target: jax.Array, estimate: jax.Array, *, window: int, sample_rate: int, mels: int, min_hz: float, log_floor: float
) -> jax.Array:
    """Computes one scale of DAC's loss (arXiv 2306.06546, section 3.5): `log_mel_l1` with decimal logarithms.

    Frames are centred on multiples of a quarter of the window; the mel scale is Slaney's with filters of equal area.
    """
    bank = mel_matrix(sample_rate, window, mels, min_hz=min_hz, keep_empty=True, equal_area=True)
    hop, pad = window // 4, window // 2
    return log_mel_l1(target, estimate, bank, window=window, hop=hop, pad=pad, log_floor=log_floor) / math.log(10)


def log_weight(config: LossConfig, window: int) -> float:
    """alpha_s of a window of `window` samples."""
    return math.sqrt(window / 2) if config.log_weight == "sqrt_half_window" else 1.0


def multiscale_mel(target: jax.Array, estimate: jax.Array, config: LossConfig, *, sample_rate: int) -> jax.Array:
    """Computes the loss that `config.spectral_form` selects: SoundStream's or that of another codec.

    Args:
      target, estimate: [batch, time, channels] audio; each channel counts as an example.

    Returns:
      Scalar. `config.normalize_windows` divides every scale by (1 + alpha_s) times the number of mel bins, and the sum
      by the number of windows.
    """
    a, b = _signals(target), _signals(estimate)
    values = [_scale(a, b, config, sample_rate, window) for window in config.windows]
    return sum(values, jnp.zeros(())) / _divisor(config)


def _signals(audio: jax.Array) -> jax.Array:
    """Audio [batch, time, channels] as float32 [batch * channels, time]."""
    return jnp.moveaxis(audio.astype(jnp.float32), -1, 1).reshape(-1, audio.shape[1])


def _scale(a: jax.Array, b: jax.Array, config: LossConfig, sample_rate: int, window: int) -> jax.Array:
    """One scale of the loss of signals [batch, time]."""
    index, floor = config.windows.index(window), config.log_floor
    mels = config.window_mels[index] if config.window_mels else config.mels
    shared = {"window": window, "sample_rate": sample_rate, "mels": mels}
    match config.spectral_form:
        case "encodec":
            return encodec_distance(a, b, min_hz=config.mel_min_hz, **shared)
        case "audiocraft":
            return audiocraft_distance(a, b, min_hz=config.mel_min_hz, log_floor=floor, **shared)
        case "speechtokenizer":
            value = speechtokenizer_distance(a, b, min_hz=config.mel_min_hz, log_floor=floor, **shared)
            return value * config.window_weights[index] if config.window_weights else value
        case "dac":
            return dac_distance(a, b, min_hz=config.mel_min_hz, log_floor=floor, **shared)
    alpha = log_weight(config, window)
    value = mel_distance(a, b, log_weight=alpha, log_floor=floor, **shared)
    return value / ((1 + alpha) * config.mels) if config.normalize_windows else value


def _divisor(config: LossConfig) -> float:
    """Divisor of the sum of all scales."""
    if config.spectral_form == "audiocraft":
        return sum(1 + audiocraft_weight(window) for window in config.windows)
    is_mean = config.spectral_form == "encodec" or (config.spectral_form == "soundstream" and config.normalize_windows)
    return len(config.windows) if is_mean else 1


def drawn_multiscale_mel(
    target: jax.Array, estimate: jax.Array, config: LossConfig, key: jax.Array, *, sample_rate: int
) -> jax.Array:
    """`multiscale_mel` on all windows, or on `config.random_windows` random ones, scaled to the same expectation.

    With `config.normalize_windows` it is the mean of the random windows, also for losses that are sums of windows.
    """
    if not config.random_windows:
        return multiscale_mel(target, estimate, config, sample_rate=sample_rate)
    chosen = jax.random.permutation(key, len(config.windows))[: config.random_windows]
    branches = [lambda a, b, window=w: _scale(a, b, config, sample_rate, window) for w in config.windows]
    signals = _signals(target), _signals(estimate)
    values = [jax.lax.switch(chosen[i], branches, *signals) for i in range(config.random_windows)]
    is_sum = config.spectral_form in ("speechtokenizer", "dac")
    whole = 1 if config.normalize_windows and is_sum else len(config.windows) / _divisor(config)
    return jnp.mean(jnp.stack(values)) * whole
