"""The discriminator section: which adversaries the decoder has, and when they are trained."""

import dataclasses
from typing import Any, ClassVar

from codax.config.checks import Check, at_least
from codax.config.section import Section, option


def _of(default: Any, *names: str) -> Any:
    """An option of discriminators of which there are some where one of these fields says so."""
    needs = " or ".join(f"discriminator.{name}" for name in names)
    return option(default, lambda section: any(getattr(section, name) for name in names), needs)


@dataclasses.dataclass
class DiscriminatorConfig(Section):
    """Adversaries of the decoder; `start_step` is the first step at which they are trained and used."""

    path: ClassVar[str] = "discriminator"

    stft: bool = True
    stft_window: int = _of(1024, "stft")  # samples
    stft_hop: int = _of(256, "stft")  # samples
    stft_channels: int = _of(32, "stft")
    msstft_windows: tuple[int, ...] = ()  # samples; one multi-scale STFT discriminator (EnCodec) for each
    msstft_channels: int = _of(32, "msstft_windows")
    msstft_kernel: tuple[int, int] = _of((3, 9), "msstft_windows")  # time, frequency
    msstft_slope: float = _of(0.2, "msstft_windows")  # of the leaky ReLU
    msstft_normalized: bool = _of(True, "msstft_windows")  # divide each transform by its window's norm
    split_channels: bool = False  # discriminate the channels of a signal one by one
    wave_scales: int = 3  # number of waveform discriminators, each at half the rate of the one before; 0 = none
    wave_channels: int = _of(16, "wave_scales")
    wave_max_channels: int = _of(1024, "wave_scales")
    wave_group_size: int = _of(4, "wave_scales")
    periods: tuple[int, ...] = ()  # samples; one multi-period discriminator (HiFi-GAN) for each
    scales: int = 0  # number of multi-scale discriminators (HiFi-GAN), each at half the rate of the one before
    hifigan_max_channels: int = _of(1024, "periods", "scales")  # of both
    hifigan_logits: bool = _of(True, "periods", "scales")  # count the logits of both among their features
    bands_windows: tuple[int, ...] = ()  # samples; one multi-band STFT discriminator (DAC) for each
    bands_channels: int = _of(32, "bands_windows")
    normalize: bool = False  # take the mean out of every signal and scale its peak to 0.8 first
    start_step: int = 0
    every: int = 1  # steps from one discriminator and adversarial update to the next
    update_probability: float = 1.0  # chance that a step updates the discriminators
    per_kbps: bool = False  # one set of discriminators for each of quantizer.kbps; needs quantizer.dropout_kbps

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 1, "every"),
            Check(0 < self.update_probability <= 1, "update_probability", "above 0 and up to 1"),
        ]
