"""Multi-scale STFT discriminator of EnCodec (arXiv 2210.13438, section 3.4), one network per window length.

Public implementations disagree: the kernel is 3 x 8 in the paper and 3 x 9 in code, the leaky ReLU's slope is 0.2
(encodec) or 0.3 (audiocraft), and there are three or five scales; each is an argument. In all of them, the first
convolution has no weight normalisation.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators.base import Member
from codax.discriminators.layers import Conv2d, parts_as_channels
from codax.dsp.stft import stft, window_norm

FLOOR = 1e-3  # magnitude below which `compressed` is linear


def compressed(spectrum: jax.Array, power: float) -> jax.Array:
    """Returns the spectrum with its magnitudes raised to `power`, phases kept.

    With a power below 1, pauses weigh more: a discriminator of the linear spectrum hardly processes what is 60 dB
    below speech.
    """
    if power == 1:
        return spectrum
    square = jnp.square(spectrum.real) + jnp.square(spectrum.imag) + FLOOR**2
    return spectrum * jnp.exp((power - 1) / 2 * jnp.log(square))  # jnp.power takes five times as long on CPUs


class MSSTFTDiscriminator(nn.Module):
    """One scale: audio [batch, time, channels] -> logits [batch, frames, bins, 1] and feature maps.

    Real and imaginary parts are input channels. The transform is float32 whatever the type of the convolutions.
    """

    window: int
    channels: int = 32
    kernel_size: tuple[int, int] = (3, 9)  # time, frequency
    dilations: tuple[int, ...] = (1, 2, 4)
    negative_slope: float = 0.2
    normalized: bool = True  # divide the transform by the window's norm
    power: float = 1.0  # exponent of the magnitudes
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        _, time, audio_channels = audio.shape
        flat = jnp.moveaxis(audio, -1, 1).reshape(-1, time)
        spectrum = stft(flat, self.window, self.window // 4, pad=False)
        if self.normalized:
            spectrum = spectrum / window_norm(self.window)
        spectrum = compressed(spectrum, self.power)
        x = parts_as_channels(spectrum, audio_channels)
        features = []
        square = (self.kernel_size[0], self.kernel_size[0])
        x = Conv2d(self.channels, self.kernel_size, weight_norm=False, dtype=self.dtype, name="stem")(x)
        features.append(x := nn.leaky_relu(x, self.negative_slope))
        for i, dilation in enumerate(self.dilations):
            conv = Conv2d(self.channels, self.kernel_size, (1, 2), (dilation, 1), dtype=self.dtype, name=f"conv{i}")
            features.append(x := nn.leaky_relu(conv(x), self.negative_slope))
        x = Conv2d(self.channels, square, dtype=self.dtype, name="last")(x)
        features.append(x := nn.leaky_relu(x, self.negative_slope))
        return Conv2d(1, square, dtype=self.dtype, name="logits")(x), features


def members(config: DiscriminatorConfig, dtype: jnp.dtype | None) -> list[Member]:
    """Returns a discriminator for each window in `msstft_windows`."""

    def net(window: int, name: str) -> MSSTFTDiscriminator:
        return MSSTFTDiscriminator(
            window,
            config.msstft_channels,
            config.msstft_kernel,
            negative_slope=config.msstft_slope,
            normalized=config.msstft_normalized,
            power=config.msstft_power,
            dtype=dtype,
            name=name,
        )

    return [Member(name, net(w, name)) for w, name in ((w, f"msstft{w}") for w in config.msstft_windows)]
