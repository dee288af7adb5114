"""DAC's multi-band complex STFT discriminator (arXiv 2306.06546, section 3.4), one network per window length."""

from __future__ import annotations

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators import together
from codax.discriminators.base import Member
from codax.discriminators.layers import Conv2d, parts_as_channels
from codax.dsp.stft import stft

EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the bands, as shares of the bins
# Kernel and stride of a band's convolutions, time and frequency.
LAYERS = (((3, 9), (1, 1)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 3), (1, 1)))
SLOPE = 0.1  # of the leaky ReLU


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
        _, time, audio_channels = audio.shape
        hop = self.window // 4
        pad = (self.window - hop) // 2
        flat = jnp.moveaxis(audio, -1, 1).reshape(-1, time)
        # Every hop has a frame, including an incomplete last one.
        flat = jnp.pad(flat, ((0, 0), (pad, pad + -time % hop)), mode="reflect")
        spectrum = stft(flat, self.window, hop, pad=False)
        x = parts_as_channels(spectrum, audio_channels)
        edges = [int(edge * x.shape[2]) for edge in EDGES]
        bands = [x[:, :, low:high] for low, high in itertools.pairwise(edges)]
        if together.is_possible(self):
            maps = self._together(bands)
        else:
            maps = [self._band(i, band) for i, band in enumerate(bands)]
        joined = jnp.concatenate([of_band[-1] for of_band in maps], axis=2)
        return Conv2d(1, (3, 3), dtype=self.dtype, name="logits")(joined), list(itertools.chain(*maps))

    @nn.nowrap
    def _band(self, band: int, x: jax.Array) -> list[jax.Array]:
        """Returns the feature maps of a band."""
        maps = []
        for i, (kernel, strides) in enumerate(LAYERS):
            conv = Conv2d(self.channels, kernel, strides, dtype=self.dtype, name=f"band{band}_conv{i}")
            maps.append(x := nn.leaky_relu(conv(x), SLOPE))
        return maps

    @nn.nowrap
    def _together(self, bands: list[jax.Array]) -> list[list[jax.Array]]:
        """Returns the feature maps of all bands, padded to the widest, from one convolution for each layer."""
        params, count = self.variables["params"], len(bands)
        sizes = [band.shape[2] for band in bands]
        widened = [jnp.pad(band, ((0, 0), (0, 0), (0, max(sizes) - band.shape[2]), (0, 0))) for band in bands]
        x, maps = jnp.concatenate(widened, axis=3), [[] for _ in bands]
        for i, (_, strides) in enumerate(LAYERS):
            layers = [params[f"band{band}_conv{i}"] for band in range(count)]
            y = together.convolution(layers, x, strides=strides, dtype=self.dtype)
            sizes = [-(-width // strides[1]) for width in sizes]
            masks = jnp.arange(y.shape[2])[:, None] < jnp.array(sizes)
            x = together.inside(nn.leaky_relu(y, SLOPE), masks[None])
            for own, part, width in zip(maps, jnp.split(x, count, axis=3), sizes, strict=True):
                own.append(part[:, :, :width])
        return maps


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns a discriminator for each window in `bands_windows`."""
    return [
        Member(name, BandsDiscriminator(window, config.bands_channels, dtype=dtype, name=name))
        for window, name in ((window, f"bands{window}") for window in config.bands_windows)
    ]
