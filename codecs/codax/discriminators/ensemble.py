"""The discriminators of a recipe as one module."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from codax.config import DiscriminatorConfig
from codax.discriminators.bands import BandsDiscriminator, normalized
from codax.discriminators.hifigan import PeriodDiscriminator, ScaleDiscriminator, halve
from codax.discriminators.msstft import MSSTFTDiscriminator
from codax.discriminators.stft import STFTDiscriminator
from codax.discriminators.waveform import WaveDiscriminator, halve_rate


class Discriminators(nn.Module):
    """Audio [batch, time, channels] -> a list of (logits, features), one entry per discriminator."""

    config: DiscriminatorConfig
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, audio: jax.Array) -> list[tuple[jax.Array, list[jax.Array]]]:
        c = self.config
        outputs = []
        if c.split_channels:
            audio = jnp.moveaxis(audio, -1, 1).reshape(-1, audio.shape[1], 1)
        audio = normalized(audio) if c.normalize else audio
        for window in c.bands_windows:
            bands = BandsDiscriminator(window, c.bands_channels, dtype=self.dtype, name=f"bands{window}")
            outputs.append(bands(audio))
        for window in c.msstft_windows:
            scale = MSSTFTDiscriminator(
                window,
                c.msstft_channels,
                c.msstft_kernel,
                slope=c.msstft_slope,
                normalized=c.msstft_normalized,
                dtype=self.dtype,
                name=f"msstft{window}",
            )
            outputs.append(scale(audio))
        if c.stft:
            stft = STFTDiscriminator(c.stft_window, c.stft_hop, c.stft_channels, dtype=self.dtype, name="stft")
            outputs.append(stft(audio))
        x = audio
        for i in range(c.wave_scales):
            x = x if i == 0 else halve_rate(x)
            wave = WaveDiscriminator(
                c.wave_channels, c.wave_max_channels, c.wave_group_size, dtype=self.dtype, name=f"wave{i}"
            )
            outputs.append(wave(x))
        most, hifigan = c.hifigan_max_channels, []
        for period in c.periods:
            hifigan.append(PeriodDiscriminator(period, most, dtype=self.dtype, name=f"period{period}")(audio))
        x = audio
        for i in range(c.scales):
            x = x if i == 0 else halve(x)
            # The first one, at the full rate, has spectral normalisation.
            hifigan.append(ScaleDiscriminator(i == 0, most, dtype=self.dtype, name=f"scale{i}")(x))
        # The last of their features are the logits.
        return outputs + [(logits, features if c.hifigan_logits else features[:-1]) for logits, features in hifigan]
