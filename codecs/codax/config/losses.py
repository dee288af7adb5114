"""The loss section: weights and forms of the generator's losses."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from codax.config.checks import Check, at_least, none_or_as_many, one_of
from codax.config.section import Section, option

SPECTRAL_FORMS = ("soundstream", "encodec", "audiocraft", "speechtokenizer", "dac")
ADVERSARIAL_FORMS = ("hinge", "linear", "least_squares")
WEIGHTS = ("waveform", "spectral", "adversarial", "feature", "commitment", "codebook", "distillation")


def _form(*forms: str) -> tuple[Callable[["LossConfig"], bool], str]:
    """Returns the arguments of `option` for options of some spectral losses."""
    return lambda loss: loss.spectral_form in forms, f"loss.spectral_form = {' or '.join(forms)}"


@dataclasses.dataclass
class LossConfig(Section):
    """Weights of the generator's losses; 0 leaves a loss out of the graph."""

    path: ClassVar[str] = "loss"

    waveform: float = 0.0  # L1 on samples
    spectral: float = 1.0  # multi-scale mel
    spectral_start_step: int = 0  # steps before it train on the waveform loss, without the multi-scale mel loss
    adversarial: float = 1.0  # from the discriminators' logits
    feature: float = 100.0  # distance of the discriminators' features of the reconstruction from those of the original
    commitment: float = 1.0  # distance of the latent from the entries that quantize it
    codebook: float = 0.0  # distance of entries that are trained by gradient from the vectors that they quantize
    distillation: float = 0.0  # distance of the first quantizer's semantic output from the teacher's features
    self_supervised: float = 0.0  # distance of a teacher's features of the reconstruction from those of the original
    extra: dict[str, float] = dataclasses.field(default_factory=dict)  # of registered terms; see losses/terms.py
    distillation_form: str = "d_axis"  # "t_axis" or "cosine"; see losses/distillation.py
    self_supervised_teacher: str = ""  # as teacher.source, for loss.self_supervised; "" = that teacher
    self_supervised_layers: tuple[int, ...] = ()  # their distances are averaged; () = the features of distillation
    self_supervised_form: str = "l1"  # "l1", "l2" or "cosine"; see losses/self_supervised.py
    self_supervised_noise: float = 0.0  # RMS of white noise that is added to both signals (full scale = 1)
    windows: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)  # samples; of the scales of the mel loss
    random_windows: int = 0  # number of windows drawn at each step; 0 = all of them
    mels: int = 64  # number of mel bands of a scale
    window_mels: tuple[int, ...] = option((), *_form("dac"))  # mels of each of `windows`; () = `mels`
    # "sqrt_half_window": alpha = sqrt(s / 2); "one"; see losses/spectral.py
    log_weight: str = option("sqrt_half_window", *_form("soundstream"))
    # Added to magnitudes, or their least value, before the logarithm.
    log_floor: float = option(1e-5, *_form("soundstream", "audiocraft", "speechtokenizer", "dac"))
    # "soundstream", "encodec", "audiocraft", "speechtokenizer" or "dac"; see losses/spectral.py
    spectral_form: str = "soundstream"
    window_weights: tuple[float, ...] = option((), *_form("speechtokenizer"))  # weight of each of `windows`; () = 1
    # Hz; lowest frequency of the mel bands.
    mel_min_hz: float = option(0.0, *_form("encodec", "audiocraft", "speechtokenizer", "dac"))
    adversarial_form: str = "hinge"  # "hinge", "linear" or "least_squares"; see losses/adversarial.py
    sum_discriminators: bool = False  # sum the losses over discriminators and features instead of averaging
    feature_form: str = "absolute"  # "absolute", or "relative" to the mean of the real features
    balancer: bool = False  # weights except commitment's are shares of the gradient; see losses/balancer.py
    balancer_decay: float = option(0.999, lambda loss: loss.balancer, "loss.balancer")  # of the gradients' averages
    # Divide by the number of windows and the sum of each scale's weights; do not rescale random windows.
    normalize_windows: bool = option(
        False,
        lambda loss: loss.spectral_form == "soundstream" or loss.random_windows,
        "loss.spectral_form = soundstream, or loss.random_windows",
    )

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 0, *WEIGHTS, "self_supervised", "self_supervised_noise"),
            Check(all(weight >= 0 for weight in self.extra.values()), "extra", "weights of 0 or more"),
            Check(len(self.windows) > 0, "windows", "one or more windows"),
            Check(0 <= self.random_windows <= len(self.windows), "random_windows", "at most the number of windows"),
            Check(
                self.spectral_start_step == 0 or self.waveform > 0,
                "waveform",
                "positive when loss.spectral_start_step is",
            ),
            one_of(self, "distillation_form", "d_axis", "t_axis", "cosine"),
            one_of(self, "self_supervised_form", "l1", "l2", "cosine"),
            one_of(self, "spectral_form", *SPECTRAL_FORMS),
            none_or_as_many(self, "window_mels", "loss.windows", self.windows),
            none_or_as_many(self, "window_weights", "loss.windows", self.windows),
            one_of(self, "adversarial_form", *ADVERSARIAL_FORMS),
            one_of(self, "feature_form", "absolute", "relative"),
            one_of(self, "log_weight", "sqrt_half_window", "one"),
        ]
