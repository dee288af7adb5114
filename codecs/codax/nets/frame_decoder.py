"""A decoder at the frame rate: ConvNeXt blocks and a synthesis of every frame's samples.

After Vocos (arXiv 2306.00814), whose last layer gives the magnitudes and phases of an inverse STFT, and WaveNeXt
(Okamoto et al., ASRU 2023), where it gives the samples. No layer runs above the frame rate.

A frame of the inverse STFT overlaps others. In a causal decoder the window of frame f begins with the frame's own
samples, so that nothing is delayed. It rises within a quarter of a frame, because with a symmetric window the earlier
frames would make most of the samples of frame f.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from codax.config import SoundStreamConfig
from codax.dsp.stft import hann
from codax.nets.conv import Conv
from codax.nets.grouped import conv_depthwise
from codax.nets.noise import Noise
from codax.nets.padding import pad_time, with_context
from codax.nets.transformer import norm

_LARGEST = 100.0  # magnitude of a bin
_norm = functools.partial(norm, epsilon=1e-6)


def reach(config: SoundStreamConfig) -> int:
    """Number of frames on either side that a frame of a non-causal decoder depends on."""
    c = config.frame_decoder
    return (c.layers + 1) * (c.kernel_size // 2) + (c.window_frames if c.head == "istft" else 0)


def least_values(config: SoundStreamConfig) -> int:
    """Lower bound of the number of parameters."""
    c = config.frame_decoder
    return c.kernel_size * config.dimension * c.channels + c.layers * 2 * c.channels * c.hidden


class Block(nn.Module):
    """x + scale dense(gelu(dense(norm(depthwise(x))))), [batch, frames, channels] (ConvNeXt, arXiv 2201.03545)."""

    config: SoundStreamConfig
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, channels = self.config.frame_decoder, x.shape[-1]
        pointwise = functools.partial(Conv, kernel_size=1, dtype=self.dtype)
        y = Depthwise(c.kernel_size, self.config.causal, dtype=self.dtype, name="depthwise")(x)
        y = nn.gelu(pointwise(c.hidden, name="dense1")(_norm("norm", self.dtype)(y)), approximate=False)
        y = pointwise(channels, name="dense2")(y)
        scale = self.param("scale", nn.initializers.constant(1 / c.layers), (channels,))
        return x + y * scale.astype(y.dtype)


class Depthwise(nn.Module):
    """A convolution of every channel of [batch, frames, channels] with a kernel of its own."""

    kernel_size: int
    causal: bool
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, channels = self.kernel_size, x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(width**-0.5), (width, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = with_context(self, x, width - 1) if self.causal else pad_time(x, (width - 1) // 2, width // 2)
        return conv_depthwise(x, kernel) + bias


class Synthesis(nn.Module):
    """Inverse STFT: logarithmic magnitudes and phases [batch, frames, 2 bins] to audio [batch, frames * hop].

    A window has `ratio` hops. The sum of the overlapping windows is divided by that of their squares. Without `causal`,
    the windows are symmetric about the middles of the frames.
    """

    hop: int
    ratio: int
    causal: bool

    @nn.compact
    def __call__(self, spectrum: jax.Array) -> jax.Array:
        batch, frames, _ = spectrum.shape
        magnitude, phase = jnp.split(spectrum.astype(jnp.float32), 2, axis=-1)
        magnitude = jnp.minimum(jnp.exp(jnp.minimum(magnitude, 10.0)), _LARGEST)
        parts = jnp.concatenate([magnitude * jnp.cos(phase), magnitude * jnp.sin(phase)], axis=-1)
        window = synthesis_window(self.hop, self.ratio) if self.causal else hann(self.hop * self.ratio)
        samples = (parts @ inverse_transform(len(window))) * window
        before = self.ratio - 1
        if self.causal:
            envelope = np.sum(window.reshape(self.ratio, self.hop) ** 2, axis=0)
            return (overlapped(with_context(self, samples, before), self.hop) / envelope).reshape(batch, -1)
        envelope = jnp.broadcast_to(window**2, (1, frames, len(window)))
        total, envelope = (
            overlapped(pad_time(x, before, before), self.hop).reshape(x.shape[0], -1) for x in (samples, envelope)
        )
        edge = before * self.hop // 2
        return (total / jnp.maximum(envelope, 1e-11))[:, edge : edge + frames * self.hop]


def synthesis_window(hop: int, ratio: int) -> np.ndarray:
    """The causal window, float32 [ratio * hop]: rises within a quarter of a hop, then falls, both as sine squared."""
    rise = max(1, hop // 4)
    fall = ratio * hop - rise
    up, down = np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise), np.cos(np.pi / 2 * (np.arange(fall) + 0.5) / fall)
    return np.concatenate([up, down]).astype(np.float32) ** 2


def inverse_transform(size: int) -> jax.Array:
    """The matrix [2 bins, size] of the inverse real Fourier transform of real parts and then imaginary parts.

    Built from a table of one period, so that exported programs do not contain the matrix. A product with it is a plain
    operation in every export format.
    """
    bins = size // 2 + 1
    turn = 2 * np.pi * np.arange(size) / size
    weights = np.full((bins, 1), 2 / size, np.float32)
    weights[[0, -1]] = 1 / size  # of the bins without a conjugate
    k, t = (jax.lax.broadcasted_iota(jnp.int32, (bins, size), axis) for axis in (0, 1))
    cos, sin = (jnp.asarray(f(turn).astype(np.float32))[k * t % size] for f in (np.cos, np.sin))
    return jnp.concatenate([cos * weights, -sin * weights])


def overlapped(windows: jax.Array, hop: int) -> jax.Array:
    """Adds overlapping windows [batch, frames + ratio - 1, ratio * hop] to [batch, frames, hop].

    Output f is the sum of part k of window f - k, where the first ratio - 1 windows precede output 0.
    """
    ratio = windows.shape[-1] // hop
    frames = windows.shape[1] - ratio + 1
    parts = [windows[:, ratio - 1 - k : ratio - 1 - k + frames, k * hop : (k + 1) * hop] for k in range(ratio)]
    return functools.reduce(jnp.add, parts)


class Decoder(nn.Module):
    """Latent frames [batch, frames, dimension] to audio [batch, frames * hop, audio_channels]."""

    config: SoundStreamConfig
    dtype: jnp.dtype | None = None
    remat: bool = False  # recompute activations inside blocks in the backward pass

    @nn.compact
    def __call__(self, latent: jax.Array) -> jax.Array:
        model, c = self.config, self.config.frame_decoder
        block = nn.remat(Block) if self.remat else Block
        x = Conv(c.channels, c.kernel_size, causal=model.causal, dtype=self.dtype, name="latent")(latent)
        x = Noise(model.noise_channels, dtype=self.dtype, name="noise")(x) if model.noise_channels else x
        x = _norm("norm", self.dtype)(x)
        for i in range(c.layers):
            x = block(model, dtype=self.dtype, name=f"block{i}")(x)
        x = _norm("last_norm", self.dtype)(x)
        if c.head == "linear":
            x = Conv(model.hop * model.audio_channels, 1, dtype=self.dtype, name="head")(x)
            return x.reshape(x.shape[0], -1, model.audio_channels)
        bins = model.hop * c.window_frames // 2 + 1
        x = Conv(2 * bins * model.audio_channels, 1, dtype=self.dtype, name="head")(x)
        signals = jnp.moveaxis(x.reshape(*x.shape[:2], model.audio_channels, 2 * bins), 2, 1)
        signals = signals.reshape(-1, x.shape[1], 2 * bins)
        audio = Synthesis(model.hop, c.window_frames, model.causal, name="synthesis")(signals)
        return jnp.moveaxis(audio.reshape(x.shape[0], model.audio_channels, -1), 1, 2)
