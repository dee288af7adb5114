"""The discriminator section: the discriminators, and the steps at which they are trained."""

import dataclasses
from typing import Any, ClassVar

from codax.config.checks import Check, at_least, share
from codax.config.section import Section, option


def _of(default: Any, *names: str) -> Any:
    """Returns an option that has an effect if one of these fields is set."""
    needs = " or ".join(f"discriminator.{name}" for name in names)
    return option(default, lambda section: any(getattr(section, name) for name in names), needs)


@dataclasses.dataclass
class DiscriminatorConfig(Section):
    """Discriminators; `start_step` is the first step at which they are trained and used."""

    path: ClassVar[str] = "discriminator"

    stft: bool = True  # use the STFT discriminator (SoundStream)
    stft_window: int = _of(1024, "stft")  # samples; of its analysis window
    stft_hop: int = _of(256, "stft")  # samples; from one window to the next
    stft_channels: int = _of(32, "stft")  # of its first layer
    msstft_windows: tuple[int, ...] = ()  # samples; one multi-scale STFT discriminator (EnCodec) per window
    msstft_channels: int = _of(32, "msstft_windows")  # of its layers
    msstft_kernel: tuple[int, int] = _of((3, 9), "msstft_windows")  # time, frequency
    msstft_slope: float = _of(0.2, "msstft_windows")  # negative slope of the leaky ReLU
    msstft_normalized: bool = _of(True, "msstft_windows")  # divide each transform by its window's norm
    msstft_power: float = _of(1.0, "msstft_windows")  # exponent of the magnitudes; below 1, pauses weigh more
    split_channels: bool = False  # discriminate each channel of a signal separately
    wave_scales: int = 3  # number of waveform discriminators, each at half the previous one's rate; 0 = none
    wave_channels: int = _of(16, "wave_scales")  # of their first layer
    wave_max_channels: int = _of(1024, "wave_scales")  # of a layer, at most
    wave_group_size: int = _of(4, "wave_scales")  # input channels of a group of their convolutions
    periods: tuple[int, ...] = ()  # samples; one multi-period discriminator (HiFi-GAN) per period
    scales: int = 0  # number of multi-scale discriminators (HiFi-GAN), each at half the previous one's rate
    hifigan_max_channels: int = _of(1024, "periods", "scales")  # of multi-period and multi-scale discriminators
    hifigan_logits: bool = _of(True, "periods", "scales")  # their features include the logits
    bands_windows: tuple[int, ...] = ()  # samples; one multi-band STFT discriminator (DAC) per window
    bands_channels: int = _of(32, "bands_windows")  # of its layers
    normalize: bool = False  # subtract each signal's mean and scale its peak to 0.8 first
    start_step: int = 0  # the first step that trains and uses them
    every: int = 1  # steps between discriminator and adversarial updates
    update_probability: float = 1.0  # probability that a step updates the discriminators
    shared_forward: bool = False  # one forward pass for both losses, with the discriminators before their update
    drawn: int = 0  # number of discriminators that are drawn at each step; 0 = all of them
    crop_seconds: float = 0.0  # length of the random part of each signal that discriminators process; 0 = all of it
    # A warning reports a discriminator whose loss stays above this fraction of chance's: it has learned nothing.
    alarm_chance: float = 0.99
    # The same for one below this fraction: it leaves the generator nothing to learn.
    alarm_certain: float = 0.01
    alarm_steps: int = 2_000  # steps that such a loss lasts before the warning; 0 = never
    per_kbps: bool = False  # one set of discriminators per value of quantizer.kbps; needs quantizer.dropout_kbps

    @property
    def longest_window(self) -> int:
        """Samples of the longest analysis window; 0 without one."""
        return max((self.stft_window if self.stft else 0, *self.msstft_windows, *self.bands_windows))

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 1, "every"),
            *at_least(self, 0, "drawn", "crop_seconds", "alarm_steps"),
            *share(self, "alarm_chance", "alarm_certain"),
            Check(0 < self.msstft_power <= 1, "msstft_power", "above 0 and up to 1"),
            Check(0 < self.update_probability <= 1, "update_probability", "above 0 and up to 1"),
            *at_least(self, 1, "hifigan_max_channels"),
            # The multi-scale discriminator has convolutions of 16 groups.
            Check(not self.scales or self.hifigan_max_channels % 16 == 0, "hifigan_max_channels", "a multiple of 16"),
        ]
