"""The model section: one class per family of networks, with the fields of that family.

A family outside the package subclasses `ModelConfig` and registers the class and its networks with
`codax.nets.families.register`.
"""

import dataclasses
import math
from typing import Any, ClassVar

from codax.config.checks import MOST_CHANNELS, RATES, Check, at_least, one_of, share
from codax.config.section import Section, Tagged, constant, option

# Limits far beyond every published codec: whatever a config states, a step of the network stays small.
_MAX_HOP = 1 << 20
_MAX_LAYERS = 256
_MAX_CONTEXT = 1 << 16
_MAX_SECONDS = 3600


@dataclasses.dataclass
class ModelConfig(Tagged):
    """Fields of all families.

    Attributes without a type are constants here; families that vary them have fields of the same name.

    Attributes:
      causal: no frame depends on later samples, as streaming needs.
      film: side of the bottleneck where FiLM conditions denoising: "none", "encoder" or "decoder".
      film_dilations: of the residual units that the condition turns on or off; () = a FiLM layer alone.
      segment_seconds: length of the segments that are coded independently; 0 = code the signal as a whole.
      segment_overlap: share of a segment that the next one overlaps.
      normalize: divide each segment by its RMS, which is coded as its scale.
      weight_norm: of convolutions, and of the projections of quantizers that are trained by gradient.
      decoder_fields: fields of the decoder alone, which `train.new_decoder` takes from the recipe.
      film_fields: fields of denoising, which a run that starts from a model takes from the recipe.
    """

    path: ClassVar[str] = "model"
    tag: ClassVar[str] = "family"
    classes: ClassVar[dict[str, type["ModelConfig"]]] = {}
    causal = True
    film = "none"
    film_dilations = tuple[int, ...]()
    segment_seconds = 0.0
    segment_overlap = 0.0
    normalize = False
    weight_norm = False
    decoder_fields: ClassVar[tuple[str, ...]] = ()
    film_fields: ClassVar[tuple[str, ...]] = ()

    family: str = constant("")
    sample_rate: int = 24_000  # Hz; of the signals that the model codes
    audio_channels: int = 1  # channels of a signal that are coded together: 1 mono, 2 stereo
    channels: int = 32  # C: channels of the first encoder convolution
    decoder_channels: int = 0  # C of the decoder; 0 = `channels`
    strides: tuple[int, ...] = (2, 4, 5, 8)  # of the encoder's blocks
    # Of the first and the last convolution; above 1 their kernels have twice the stride instead of `kernel_size`. A
    # model is several times faster with a large one, because no other layer has the signal's sample rate.
    stem_stride: int = 1
    dimension: int = 64  # D, channels of the latent
    kernel_size: int = 7  # of the first, last and dilated convolutions
    dilations: tuple[int, ...] = (1, 3, 9)  # of the residual units of each block
    semantic_dimension: int = 0  # > 0: output channels of a linear head on the first quantizer's output
    # Gains of the decoded audio (dB), by number of quantizers; () = none. A decoder that was trained on differences of
    # waveforms is too quiet, the more so the fewer bits it has: the audio that minimises the squared error has the
    # signal's energy minus that of the error.
    gains_db: tuple[float, ...] = ()

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return self.stem_stride * math.prod(self.strides)

    @property
    def gains(self) -> tuple[float, ...]:
        """`gains_db` as factors."""
        return tuple(10 ** (gain / 20) for gain in self.gains_db)

    def checks(self) -> list[Check]:
        return [
            Check(0 < self.sample_rate <= RATES[1], "sample_rate", f"1 to {RATES[1]} Hz"),
            *at_least(self, 1, "audio_channels", "channels", "dimension", "kernel_size", "stem_stride"),
            *at_least(self, 0, "decoder_channels", "semantic_dimension"),
            Check(len(self.strides) > 0 and min(self.strides) >= 1, "strides", "one or more positive strides"),
            Check(self.audio_channels <= MOST_CHANNELS, "audio_channels", f"at most {MOST_CHANNELS}"),
            Check(
                len(self.strides) <= _MAX_LAYERS and self.hop <= _MAX_HOP,
                "strides",
                f"at most {_MAX_LAYERS} strides; their product with stem_stride is at most {_MAX_HOP} samples",
            ),
            *(
                Check(
                    len(values) <= _MAX_LAYERS and all(1 <= x <= _MAX_CONTEXT for x in values),
                    name,
                    f"at most {_MAX_LAYERS} numbers of 1 to {_MAX_CONTEXT}",
                )
                for name, values in (("dilations", self.dilations), ("film_dilations", self.film_dilations))
            ),
            Check(all(-20 <= x <= 20 for x in self.gains_db), "gains_db", "-20 to 20 dB"),
            Check(0 <= self.segment_overlap <= 0.9, "segment_overlap", "0 to 0.9"),
            Check(
                self.segment_seconds == 0 or 0.02 <= self.segment_seconds <= _MAX_SECONDS,
                "segment_seconds",
                f"0, or 0.02 to {_MAX_SECONDS} s",
            ),
            Check(
                not self.normalize or self.segment_seconds > 0,
                "segment_seconds",
                "positive when model.normalize is set: the scale is coded once per segment",
            ),
        ]


def _in_segments(model: ModelConfig) -> bool:
    return model.segment_seconds > 0


def _of_frames(default: Any) -> Any:
    return option(default, lambda decoder: decoder.layers, "model.frame_decoder.layers")


@dataclasses.dataclass
class FrameDecoderConfig(Section):
    """A decoder at the frame rate; see nets/frame_decoder.py."""

    path: ClassVar[str] = "model.frame_decoder"

    layers: int = 0  # ConvNeXt blocks; 0 = the decoder mirrors the encoder
    channels: int = _of_frames(256)  # of the blocks
    hidden: int = _of_frames(768)  # channels between the two dense layers of a block
    kernel_size: int = _of_frames(7)  # frames; of the depthwise convolutions
    head: str = _of_frames("istft")  # or "linear": the last layer gives samples instead of a spectrum
    window_frames: int = option(
        2, lambda d: d.layers and d.head == "istft", "model.frame_decoder.layers, and head = istft"
    )  # length of the windows of the inverse STFT; 4 in Vocos

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 1, "channels", "hidden", "kernel_size"),
            Check(0 <= self.layers <= _MAX_LAYERS, "layers", f"0 to {_MAX_LAYERS}"),
            Check(self.kernel_size <= _MAX_CONTEXT, "kernel_size", f"at most {_MAX_CONTEXT} frames"),
            Check(2 <= self.window_frames <= 16, "window_frames", "2 to 16"),
            one_of(self, "head", "istft", "linear"),
        ]


@ModelConfig.register
@dataclasses.dataclass
class SoundStreamConfig(ModelConfig):
    """SoundStream; the defaults are its model at 24 kHz (arXiv 2107.03312, sections III-A and III-B)."""

    decoder_fields = ("decoder_channels", "frame_decoder", "noise_channels")
    film_fields = ("film", "film_dilations", "film_channels")

    family: str = constant("soundstream")
    max_channels: int = 0  # channels double with every block up to this limit; 0 = no limit
    latent_kernel_size: int = 3  # of the convolutions into and out of the latent
    residual_scale: float = 1.0  # initial scale of each residual unit's last convolution; 0 = the identity
    causal: bool = True
    weight_norm: bool = False
    film: str = "none"  # "none", "encoder" or "decoder"
    film_dilations: tuple[int, ...] = option((), lambda model: model.film != "none", "model.film")
    film_channels: int = option(
        256, lambda model: model.film_dilations, "model.film_dilations"
    )  # of these residual units
    segment_seconds: float = 0.0  # 0 = code the signal as a whole
    segment_overlap: float = option(0.01, _in_segments, "model.segment_seconds")
    normalize: bool = False
    frame_decoder: FrameDecoderConfig = dataclasses.field(default_factory=FrameDecoderConfig)
    noise_channels: int = 0  # of noise that the decoder gets with the latent; needs a causal model

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            *at_least(self, 0, "max_channels", "noise_channels"),
            Check(self.causal or not self.noise_channels, "noise_channels", "0 for a model that is not causal"),
            Check(
                self.frame_decoder.layers == 0 or self.hop % 2 == 0,
                "frame_decoder.layers",
                "0 when a frame has an odd number of samples",
            ),
            *at_least(self, 1, "latent_kernel_size", "film_channels"),
            one_of(self, "film", "none", "encoder", "decoder"),
        ]


@ModelConfig.register
@dataclasses.dataclass
class DACConfig(SoundStreamConfig):
    """DAC, SoundStream's network with another activation; the defaults are its model at 44.1 kHz (arXiv 2306.06546)."""

    family: str = constant("dac")
    sample_rate: int = 44_100
    channels: int = 64
    decoder_channels: int = 96
    strides: tuple[int, ...] = (2, 4, 8, 8)
    dimension: int = 1024
    causal: bool = False
    weight_norm: bool = True


@dataclasses.dataclass
class SEANetConfig(Section):
    """The convolutions of SEANet in Mimi; `RecurrentSEANetConfig` has more options."""

    path: ClassVar[str] = "model.seanet"
    pad_mode = "zeros"
    lstm_layers = 0
    bidirectional = False
    trim_right_ratio = 1.0

    residual_kernel_size: int = 3  # of the dilated convolution of a residual block
    last_kernel_size: int = 3  # of the convolutions into the latent and into the audio
    compress: int = 2  # a residual block has channels / compress inner channels
    shortcut: str = "identity"  # or "conv" (1 x 1)
    norm: str = "weight"  # or "none"

    def checks(self) -> list[Check]:
        return [
            one_of(self, "shortcut", "conv", "identity"),
            one_of(self, "norm", "weight", "none"),
            *at_least(self, 1, "residual_kernel_size", "last_kernel_size", "compress"),
        ]


@dataclasses.dataclass
class RecurrentSEANetConfig(SEANetConfig):
    """SEANet with an LSTM, as in EnCodec; the defaults are the released 24 kHz model's.

    audiocraft's own defaults are pad_mode "zeros" and shortcut "identity".
    """

    last_kernel_size: int = 7
    shortcut: str = "conv"
    norm: str = "weight"  # "weight", "group" (one group, after every convolution) or "none"
    pad_mode: str = "reflect"  # "reflect", "zeros" or "replicate"
    lstm_layers: int = 2  # of the encoder and of the decoder; 0 = none
    bidirectional: bool = option(False, lambda net: net.lstm_layers, "model.seanet.lstm_layers")  # of the encoder
    trim_right_ratio: float = 1.0  # share of a transposed convolution's overlap that causal models drop at the end

    def checks(self) -> list[Check]:
        return [
            one_of(self, "norm", "weight", "group", "none"),
            *(check for check in super().checks() if check.field != "norm"),
            one_of(self, "pad_mode", "reflect", "zeros", "replicate"),
            *at_least(self, 0, "lstm_layers"),
            *share(self, "trim_right_ratio"),
        ]


@dataclasses.dataclass
class SEANetModelConfig(ModelConfig):
    """Fields of the families with a SEANet."""

    dilations: tuple[int, ...] = (1,)
    seanet: SEANetConfig = dataclasses.field(default_factory=SEANetConfig)

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            Check(self.seanet.compress <= self.channels, "seanet.compress", "1 to model.channels"),
        ]


@ModelConfig.register
@dataclasses.dataclass
class EncodecConfig(SEANetModelConfig):
    """EnCodec's SEANet (arXiv 2210.13438), also SpeechTokenizer's; the defaults are the 24 kHz model's."""

    family: str = constant("encodec")
    dimension: int = 128
    causal: bool = True
    segment_seconds: float = 0.0  # 0 = code the signal as a whole
    segment_overlap: float = option(0.01, _in_segments, "model.segment_seconds")
    normalize: bool = False
    seanet: RecurrentSEANetConfig = dataclasses.field(default_factory=RecurrentSEANetConfig)

    def checks(self) -> list[Check]:
        net = self.seanet
        return [
            *super().checks(),
            Check(not (net.norm == "group" and self.causal), "seanet.norm", "weight or none for a causal model"),
            Check(not (net.bidirectional and self.causal), "seanet.bidirectional", "False for a causal model"),
        ]


@dataclasses.dataclass
class TransformerConfig(Section):
    """The Transformers on both sides of Mimi's quantizer; the defaults are the released model's."""

    path: ClassVar[str] = "model.transformer"

    layers: int = 8  # on each side; 0 = no Transformers
    heads: int = 8  # of attention
    hidden: int = 2048  # channels of the feed-forward layers
    context: int = 250  # steps that a step attends to, including itself
    layer_scale: float = 0.01  # initial scale of a layer's residual output
    period: float = 10_000.0  # the longest wavelength of the rotary positions is about 2 pi * period steps

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 0, "layers"),
            *at_least(self, 1, "heads", "hidden", "context"),
            Check(self.context <= _MAX_CONTEXT, "context", f"at most {_MAX_CONTEXT} steps"),
            Check(self.period > 1, "period", "above 1"),
        ]


@ModelConfig.register
@dataclasses.dataclass
class MimiConfig(SEANetModelConfig):
    """Mimi: a causal SEANet, Transformers, and a convolution to fewer frames; the defaults are the released model's."""

    family: str = constant("mimi")
    channels: int = 64
    strides: tuple[int, ...] = (4, 5, 6, 8)
    dimension: int = 512
    resample_stride: int = 2  # Transformer steps per frame
    transformer: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)

    @property
    def hop(self) -> int:
        return super().hop * self.resample_stride

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            *at_least(self, 1, "resample_stride"),
            Check(
                self.transformer.heads >= 1 and self.dimension % (2 * self.transformer.heads) == 0,
                "transformer.heads",
                "a divisor of half of model.dimension",
            ),
        ]
