"""Every configuration dataclass, with its validation and the facts that follow from it.

A recipe is one file in `configs/` whose `get_config()` returns a `Config`. The dataclasses are typed and not frozen, so
that `ml_collections.config_flags` checks every command-line override: a field that does not exist or has the wrong type
is an error that names the field.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from codax.config import checks
from codax.config.mixture import MixtureConfig
from codax.config.parsing import build
from codax.errors import ConfigError

__all__ = ["Config", "ConfigError", "MixtureConfig"]


@dataclasses.dataclass
class SEANetConfig:
    """What SEANet adds to the fields of `ModelConfig`; the defaults are the released EnCodec 24 kHz model's.

    audiocraft's own defaults are pad_mode "zeros" and shortcut "identity".
    """

    residual_kernel_size: int = 3  # of the dilated convolution of a residual block
    last_kernel_size: int = 7  # convolution into the latent, and into the audio
    compress: int = 2  # a residual block works in channels / compress
    shortcut: str = "conv"  # "conv" (1 x 1) or "identity"
    norm: str = "weight"  # "weight", "group" (of one group, after every convolution) or "none"
    pad_mode: str = "reflect"  # "reflect", "zeros" or "replicate"
    lstm_layers: int = 2
    bidirectional: bool = False  # LSTM of the encoder in both directions
    trim_right_ratio: float = 1.0  # share of a transposed convolution's overlap that causal models drop at the end


@dataclasses.dataclass
class TransformerConfig:
    """The Transformers on both sides of the quantizer of the family "mimi"; the defaults are the released Mimi's."""

    layers: int = 8
    heads: int = 8
    hidden: int = 2048  # channels of the feed-forward part
    context: int = 250  # steps that a step sees, itself and those before it
    layer_scale: float = 0.01  # initial scale of what a layer adds
    period: float = 10_000.0  # the rotary positions' longest wavelength is about 2 pi times so many steps


@dataclasses.dataclass
class ModelConfig:
    """Encoder and decoder network.

    The field defaults are SoundStream's at 24 kHz (arXiv 2107.03312, sections III-A and III-B).
    """

    family: str = "soundstream"
    sample_rate: int = 24_000  # Hz
    audio_channels: int = 1
    channels: int = 32  # C: channels of the first encoder convolution
    max_channels: int = 0  # widest layer; 0 = no limit. Channels double with every block up to it
    decoder_channels: int = 0  # C of the decoder; 0 = the same as the encoder's
    strides: tuple[int, ...] = (2, 4, 5, 8)
    dimension: int = 64  # D, channels of the latent frames
    kernel_size: int = 7  # first, last and dilated convolutions
    latent_kernel_size: int = 3  # convolution into and out of the latent
    dilations: tuple[int, ...] = (1, 3, 9)
    stem_stride: int = 1  # > 1: the first convolution has kernel 2 * stem_stride and that stride
    residual_scale: float = 1.0  # initial scale of each residual unit's last convolution; small = close to the identity
    causal: bool = True
    weight_norm: bool = False  # of the convolutions of the families "soundstream" and "dac"
    film: str = "none"  # "none", "encoder" or "decoder": side of the bottleneck where denoising is conditioned
    segment_seconds: float = 0.0  # code the signal in segments of this length; 0 = as a whole
    segment_overlap: float = 0.01  # share of a segment that the next one overlaps
    normalize: bool = False  # divide each segment by its RMS, which is coded beside it
    semantic_dimension: int = 0  # > 0: the first quantizer's output has a linear head with so many channels
    seanet: SEANetConfig = dataclasses.field(default_factory=SEANetConfig)  # of the families "encodec" and "mimi"
    resample_stride: int = 1  # of "mimi": steps of the Transformers in a frame
    transformer: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)  # of "mimi"

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return self.stem_stride * math.prod(self.strides) * self.resample_stride


@dataclasses.dataclass
class QuantizerConfig:
    """Residual vector quantizer.

    Its codebooks are moving averages, or of the kind "factorised" learned by gradient, as DAC has them: each level
    searches a projection of its own, of `projection` channels. The kind "fsq" rounds the channels of such projections
    instead. Fields from `epsilon` to `semantic` are for moving averages alone.
    """

    kind: str = "average"  # or "factorised" or "fsq"; see quantizers/
    num_quantizers: int = 24
    codebook_size: int = 1024  # of "fsq" the product of `fsq_levels`
    fsq_levels: tuple[int, ...] = (4, 4, 4, 4, 4)  # of "fsq": values that each channel of a level is rounded to
    gradient: str = "straight_through"  # or "rotation": how a gradient comes back through the choice of an entry
    alarm_coverage: float = 0.1  # training warns of a level that keeps using fewer of its entries; 0 = never
    decay: float = 0.99
    epsilon: float = 1e-5  # Laplace smoothing of the running counts
    kmeans_iterations: int = 10  # on the first batch; 0 = start from random frames
    kmeans_alternate: bool = False  # levels take every other frame in turn, for batches with few frames for an entry
    dead_threshold: float = 2.0  # an entry whose running count falls below this is replaced
    dead_ratio: float = 0.0  # > 0: instead, one whose count falls below this share of its level's mean
    dead_every: int = 1  # steps from one search for dead entries to the next
    smoothing: bool = True  # Laplace smoothing of the counts that the sums are divided by
    normalise: bool = False  # search by angle, between vectors of length 1
    beam: int = 1  # paths through the levels that encoding follows at once; 1 = the nearest entry of each level
    semantic: int = 0  # first quantizers that work on a projection of their own, beside the others (split RVQ)
    projection: int = 0  # > 0: linear projections into so many channels in front of the codebooks, and back
    unquantized: float = 0.0  # chance that an example goes to the decoder without quantization
    dropout: bool = True  # number of quantizers drawn per example; those of `semantic` are always used
    dropout_share: float = 1.0  # share of a batch's examples for which it is drawn; the others use all
    dropout_kbps: bool = False  # instead, one of `kbps` drawn for each batch
    start_step: int = 0  # steps before it train an autoencoder without quantization; k-means then starts the codebooks
    kbps: tuple[float, ...] = (3.0, 6.0, 12.0, 18.0)  # the rates that evaluation reports


@dataclasses.dataclass
class DiscriminatorConfig:
    """Adversaries of the decoder; `start_step` is the first step at which they are trained and used."""

    stft: bool = True
    stft_window: int = 1024  # samples
    stft_hop: int = 256  # samples
    stft_channels: int = 32
    msstft_windows: tuple[int, ...] = ()  # samples; one multi-scale STFT discriminator (EnCodec) for each
    msstft_channels: int = 32
    msstft_kernel: tuple[int, int] = (3, 9)  # time, frequency
    msstft_slope: float = 0.2  # of the leaky ReLU
    msstft_normalized: bool = True  # divide each transform by its window's norm
    split_channels: bool = False  # discriminate the channels of a signal one by one
    wave_scales: int = 3  # number of waveform discriminators, each at half the rate of the one before; 0 = none
    wave_channels: int = 16
    wave_max_channels: int = 1024
    wave_group_size: int = 4
    periods: tuple[int, ...] = ()  # samples; one multi-period discriminator (HiFi-GAN) for each
    scales: int = 0  # number of multi-scale discriminators (HiFi-GAN), each at half the rate of the one before
    hifigan_max_channels: int = 1024  # of both
    hifigan_logits: bool = True  # count the logits of both among their features
    bands_windows: tuple[int, ...] = ()  # samples; one multi-band STFT discriminator (DAC) for each
    bands_channels: int = 32
    normalize: bool = False  # take the mean out of every signal and scale its peak to 0.8 first
    start_step: int = 0
    every: int = 1  # steps from one discriminator and adversarial update to the next
    update_probability: float = 1.0  # chance that a step updates the discriminators
    per_kbps: bool = False  # one set of discriminators for each of quantizer.kbps; needs quantizer.dropout_kbps


@dataclasses.dataclass
class LossConfig:
    """Weights of the generator's losses; 0 leaves a loss out of the graph."""

    waveform: float = 0.0  # L1 on samples
    spectral: float = 1.0  # multi-scale mel
    spectral_start_step: int = 0  # steps before it train on the waveform loss, without the multi-scale mel loss
    adversarial: float = 1.0
    feature: float = 100.0
    commitment: float = 1.0
    codebook: float = 0.0  # of entries that are learned by gradient, to what is quantized with them
    distillation: float = 0.0  # of the teacher's features into the first quantizer
    distillation_form: str = "d_axis"  # "t_axis" or "cosine"; see losses/distillation.py
    windows: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)  # samples
    random_windows: int = 0  # draw this many of the windows anew at each step; 0 = all of them
    mels: int = 64
    window_mels: tuple[int, ...] = ()  # of each of `windows`, for "dac"; () = `mels`
    log_weight: str = "sqrt_half_window"  # "sqrt_half_window": alpha = sqrt(s / 2); "one"; see losses/spectral.py
    log_floor: float = 1e-5
    # "soundstream", "encodec", "audiocraft", "speechtokenizer" or "dac"; see losses/spectral.py
    spectral_form: str = "soundstream"
    window_weights: tuple[float, ...] = ()  # of each of `windows`, for "speechtokenizer"; () = 1
    mel_min_hz: float = 0.0  # lowest frequency of the mel bands
    adversarial_form: str = "hinge"  # "hinge", "linear" or "least_squares"; see losses/adversarial.py
    sum_discriminators: bool = False  # add up the losses of discriminators, and of their features, instead of the mean
    feature_form: str = "absolute"  # "absolute", or "relative" to the mean of the real features
    balancer: bool = False  # weights, but commitment's, are shares of the gradient; see losses/balancer.py
    balancer_decay: float = 0.999
    normalize_windows: bool = False  # divide by the number of windows and the sum of each scale's weights


@dataclasses.dataclass
class OptimizerConfig:
    """Optimiser of the generator; the discriminators always have Adam, with the same settings."""

    kind: str = "adam"  # "adam", or "muon" for the generator's kernels and Nesterov's Adam for the rest
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.9
    weight_decay: float = 0.0
    decay_transformers_only: bool = False  # of the generator's parameters
    warmup_steps: int = 0
    # After the warm-up: "constant", "cosine" (to `final_fraction` of the rate) or "exponential" (times `gamma` a step).
    schedule: str = "constant"
    final_fraction: float = 0.0
    gamma: float = 0.999996
    clip_norm: float = 0.0  # global gradient norm; 0 = no clipping
    discriminator_clip_norm: float = 0.0  # of the discriminators; 0 = the same


@dataclasses.dataclass
class DataConfig:
    """Where audio comes from and how training examples are made of it."""

    source: str = "starter"  # "starter", a folder, a manifest (.jsonl, .csv, .tsv) or an ArrayRecord glob
    cache_dir: str = ""  # "" = $CODAX_CACHE, or ~/.cache/codax
    split_seed: int = 0  # for sources without a split of their own: which files are held out
    validation_fraction: float = 0.05
    min_seconds: float = 0.3  # shorter files are skipped
    silence_db: float = -60.0  # files whose loudest 50 ms stay below this (dB full scale) are skipped
    max_clipped_fraction: float = 0.01  # files with more samples at full scale than this are skipped
    normalize_peak: bool = False  # scale each crop to peak 0.95 before the gain
    gain_db: tuple[float, float] = (0.0, 0.0)  # random gain, uniform in this range
    speed: tuple[float, float] = (1.0, 1.0)  # random speed, and with it pitch, uniform in this range
    noise_source: str = ""  # a source of noise for denoising; "" = none, "starter-noise" = synthetic coloured noise
    noise_gain_db: tuple[float, float] = (-30.0, 0.0)
    mixture: MixtureConfig = dataclasses.field(default_factory=MixtureConfig)
    read_threads: int = 2
    worker_processes: int = 0  # that read ahead, each with so many threads; 0 = threads of the training process alone
    prefetch: int = 16  # examples read ahead
    accept_changes: bool = False  # go on from a checkpoint although the audio has changed since, in another order
    memory_mb: int = 768  # decoded audio of shards that is kept in memory by each process
    timeout_seconds: float = 1800.0  # the run ends if a batch takes longer; 0 = it waits


@dataclasses.dataclass
class LanguageModelConfig:
    """Language model of a finished codec's codes; the defaults are EnCodec's (arXiv 2210.13438, section 3.3)."""

    codec: str = ""  # MODEL whose codes it learns; "" = train a codec
    codebooks: int = 0  # of each frame, the first ones; 0 = all
    dim: int = 200
    layers: int = 5
    heads: int = 8
    hidden: int = 800  # channels of the feed-forward part
    past_seconds: float = 3.5  # that a frame sees
    offset_seconds: float = 0.0  # training sequences begin at a random position up to this


@dataclasses.dataclass
class TeacherConfig:
    """Network whose features the first quantizer learns to carry, if `loss.distillation` is set."""

    source: str = "wakehubert"  # "wakehubert", an .onnx file, a folder of HuBERT or WavLM, or "precomputed"
    layer: int = -1  # of HuBERT or WavLM: 0 is before the first; -1 = the mean of all
    sample_rate: int = 16_000  # Hz, that an .onnx file takes
    delay_seconds: float = 0.0  # by which the features of an .onnx file come late
    pool: int = 1  # its features in a frame of the codec; more than 1 are averaged, see teachers/fitting.py

    @property
    def precomputed(self) -> bool:
        """Whether features are read from files beside the audio (`codax data build --teacher`)."""
        return self.source == "precomputed"


@dataclasses.dataclass
class TrainConfig:
    """Length, batch and book-keeping of a training run."""

    steps: int = 1_000_000
    batch_size: int = 32  # examples over all devices
    segment_seconds: float = 1.0
    log_every: int = 50
    checkpoint_every: int = 5_000
    checkpoints_kept: int = 3
    checkpoints_best: int = 0  # so many more stay: those with the best evaluation
    eval_every: int = 5_000
    eval_batches: int = 8
    sample_files: int = 4
    compute_dtype: str = "float32"  # or "bfloat16"
    start_from: str = (
        ""  # a model, folder or shipped, whose network and codebooks the run starts with; "" = random ones
    )
    ema_decay: float = 0.999  # moving average of the generator's parameters, used for evaluation and export; 0 = none
    max_bad_steps: int = 20  # non-finite steps in a row that stop the run


@dataclasses.dataclass
class MemoryConfig:
    """Time spent for memory in training; the numbers stay the same. See docs/scale.md."""

    remat: str = "none"  # or "blocks" or "nets": in which the generator's activations are computed again, not kept
    accumulate: int = 1  # pieces of each device's batch that are worked through one after the other, for one update


@dataclasses.dataclass
class Config:
    """One recipe."""

    name: str = "soundstream_24khz"
    seed: int = 0
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    quantizer: QuantizerConfig = dataclasses.field(default_factory=QuantizerConfig)
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    memory: MemoryConfig = dataclasses.field(default_factory=MemoryConfig)
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)
    lm: LanguageModelConfig = dataclasses.field(default_factory=LanguageModelConfig)

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return self.model.hop

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.model.sample_rate / self.hop

    @property
    def latency_ms(self) -> float:
        """Algorithmic latency of the causal codec: the samples of one frame, in milliseconds."""
        return 1000.0 * self.hop / self.model.sample_rate

    @property
    def segment(self) -> tuple[int, int]:
        """Samples of a coding segment and from one to the next; (0, 0) if the signal is coded as a whole."""
        length = int(self.model.segment_seconds * self.model.sample_rate)
        return length, max(1, int((1 - self.model.segment_overlap) * length)) if length else 0

    @property
    def context_frames(self) -> int | None:
        """Frames before and after one that its codes and its audio depend on, at most; None = the whole signal.

        That is of networks of convolutions that are not causal (causal ones stream).
        """
        m = self.model
        if m.family not in ("soundstream", "dac") or m.segment_seconds:
            return None
        rate = m.stem_stride  # samples in a step of the layer at hand
        reach = 2 * rate if rate > 1 else m.kernel_size // 2  # samples, to either side
        for stride in m.strides:
            reach += rate * sum((m.kernel_size - 1) * dilation // 2 + 1 for dilation in m.dilations)
            reach += rate * 2 * stride  # a kernel of twice the stride, and to where a step begins
            rate *= stride
        reach += rate * (max(m.kernel_size, m.latent_kernel_size) // 2)  # into and out of the latent
        return -(-reach // rate)

    @property
    def pads_inside(self) -> bool:
        """Do the layers themselves pad the signal's end to whole frames? Then they must be told where it ends."""
        return self.model.family == "encodec"

    @property
    def start_frames(self) -> int:
        """Frames, a power of two, that streaming must gather first: reflection at the start looks ahead."""
        net = self.model.seanet
        if not self.pads_inside or net.pad_mode != "reflect":
            return 1
        residual = 1 + (net.residual_kernel_size - 1) * max(self.model.dilations, default=1)
        return 1 << (max(self.model.kernel_size, net.last_kernel_size, residual) - 1).bit_length()

    @property
    def start_latency_ms(self) -> float:
        """Latency of the first output of the causal codec, in milliseconds; `latency_ms` is that of all others."""
        return self.start_frames * self.latency_ms

    @property
    def bits_per_code(self) -> int:
        return max(1, math.ceil(math.log2(self.quantizer.codebook_size)))

    @property
    def segment_samples(self) -> int:
        """Samples of a training example: `segment_seconds`, rounded down to whole frames."""
        return int(self.train.segment_seconds * self.model.sample_rate) // self.hop * self.hop

    def kbps(self, num_quantizers: int) -> float:
        """Nominal kilobits per second with the first `num_quantizers` quantizers."""
        return self.frame_rate * num_quantizers * self.bits_per_code / 1000.0

    def quantizers_for(self, kbps: float | None) -> int:
        """Number of quantizers whose rate is `kbps` (kilobits per second); None = all.

        Raises:
          ConfigError: no number of quantizers comes within 2 % of that rate.
        """
        if kbps is None:
            return self.quantizer.num_quantizers
        per_level = self.kbps(1)
        count = round(kbps / per_level) if math.isfinite(kbps) else 0
        if not 1 <= count <= self.quantizer.num_quantizers or abs(count * per_level - kbps) > 0.02 * kbps:
            most = self.quantizer.num_quantizers
            raise ConfigError(
                f"{kbps:g} kbps cannot be made of {per_level:g} kbps per quantizer with 1 to {most} quantizers "
                f"({per_level:g} to {self.kbps(most):g} kbps)"
            )
        return count

    def validate(self) -> Config:
        """Returns self, or raises `ConfigError` naming the first field that cannot work."""
        for ok, field, value, wanted in checks.checks(self):
            if not ok:
                raise ConfigError(f"config field {field} = {value!r}: must be {wanted}")
        for kbps in self.quantizer.kbps:
            self.quantizers_for(kbps)
        return self

    def to_dict(self) -> dict:
        """Plain values, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @staticmethod
    def from_dict(values: dict) -> Config:
        """Builds a validated config from plain values, refusing unknown or ill-typed fields.

        Raises:
          ConfigError: naming the field.
        """
        return build(Config, values, "").validate()

    @staticmethod
    def load(path: str | Path) -> Config:
        """Reads a `config.json` written by `to_json`."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ConfigError(f"{path}: not a readable config ({error})") from error
        try:
            return Config.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
