"""DAC's multi-band complex STFT discriminator (arXiv 2306.06546, section 3.4), one network per window length."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators.base import Member
from codax.discriminators.msstft import Conv2d
from codax.dsp.stft import stft

EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the bands, as shares of the bins
# Kernel and stride of a band's convolutions, time and frequency.
LAYERS = (((3, 9), (1, 1)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 3), (1, 1)))
SLOPE = 0.1  # of the leaky ReLU
PEAK = 0.8


class BandsDiscriminator(nn.Module):
    """One scale: audio [batch, time, channels] -> logits [batch, time / hop, places, 1] and 25 feature maps.

    Real and imaginary parts are input channels. Each band has its own convolutions; the last convolution takes their
    concatenated outputs. The transform is float32 whatever the type of the convolutions.
    """

    window: int
    channels: int = 32
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        batch, time, audio_channels = audio.shape
        hop = self.window // 4
        pad = (self.window - hop) // 2
        flat = jnp.moveaxis(audio, -1, 1).reshape(-1, time)
        # Every hop has a frame, including an incomplete last one.
        flat = jnp.pad(flat, ((0, 0), (pad, pad + -time % hop)), mode="reflect")
        spectrum = stft(flat, self.window, hop, pad=False)
        spectrum = spectrum.reshape(batch, audio_channels, *spectrum.shape[1:])
        x = jnp.moveaxis(jnp.concatenate([spectrum.real, spectrum.imag], axis=1), 1, -1)
        bins = x.shape[2]
        features, bands = [], []
        for i in range(len(EDGES) - 1):
            band = x[:, :, int(EDGES[i] * bins) : int(EDGES[i + 1] * bins)]
            for j, (kernel, strides) in enumerate(LAYERS):
                conv = Conv2d(self.channels, kernel, strides, dtype=self.dtype, name=f"band{i}_conv{j}")
                features.append(band := nn.leaky_relu(conv(band), SLOPE))
            bands.append(band)
        joined = jnp.concatenate(bands, axis=2)
        return Conv2d(1, (3, 3), dtype=self.dtype, name="logits")(joined), features


def normalized(audio: jax.Array) -> jax.Array:
    """Subtracts the mean of each signal in audio [batch, time, channels] and scales its peak to 0.8."""
    centred = audio - jnp.mean(audio, axis=1, keepdims=True)
    return PEAK * centred / (jnp.max(jnp.abs(centred), axis=1, keepdims=True) + 1e-9)


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns a discriminator for each window in `bands_windows`."""
    return [
        Member(name, BandsDiscriminator(window, config.bands_channels, dtype=dtype, name=name))
        for window, name in ((window, f"bands{window}") for window in config.bands_windows)
    ]
