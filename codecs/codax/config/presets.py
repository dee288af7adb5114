"""Configs of released codecs, for their recipes and importers."""

from codax.config.models import DACConfig, EncodecConfig, MimiConfig, RecurrentSEANetConfig, SEANetConfig
from codax.config.quantizers import EMAQuantizerConfig, FactorisedQuantizerConfig
from codax.config.recipe import Config


def encodec_24khz() -> Config:
    """The released 24 kHz model (arXiv 2210.13438): causal, mono, 1.5 to 24 kbps."""
    return Config(
        name="encodec_24khz",
        model=EncodecConfig(sample_rate=24_000, channels=32, strides=(2, 4, 5, 8), dimension=128, dilations=(1,)),
        quantizer=EMAQuantizerConfig(num_quantizers=32, kmeans_iterations=50, kbps=(1.5, 3.0, 6.0, 12.0, 24.0)),
    )


def encodec_48khz() -> Config:
    """The released 48 kHz model: stereo, not causal, segments of one second, 3 to 24 kbps."""
    return Config(
        name="encodec_48khz",
        model=EncodecConfig(
            sample_rate=48_000,
            audio_channels=2,
            channels=32,
            strides=(2, 4, 5, 8),
            dimension=128,
            dilations=(1,),
            causal=False,
            normalize=True,
            segment_seconds=1.0,
            seanet=RecurrentSEANetConfig(norm="group"),
        ),
        quantizer=EMAQuantizerConfig(num_quantizers=16, kmeans_iterations=50, kbps=(3.0, 6.0, 12.0, 24.0)),
    )


def speechtokenizer_16khz() -> Config:
    """The released SpeechTokenizer (arXiv 2308.16692): 50 frames per second, 8 codebooks, 4 kbps, 768 features."""
    return Config(
        name="speechtokenizer_16khz",
        model=EncodecConfig(
            sample_rate=16_000,
            channels=64,
            strides=(2, 4, 5, 8),
            dimension=1024,
            dilations=(1,),
            causal=False,
            semantic_dimension=768,
            seanet=RecurrentSEANetConfig(bidirectional=True),
        ),
        quantizer=EMAQuantizerConfig(num_quantizers=8, dropout=False, kmeans_iterations=50, kbps=(0.5, 1.0, 2.0, 4.0)),
    )


def mimi_24khz() -> Config:
    """The released Mimi (arXiv 2410.00037): 12.5 frames per second, 1.1 kbps with 8 of its 32 codebooks."""
    return Config(
        name="mimi_24khz",
        model=MimiConfig(
            sample_rate=24_000,
            channels=64,
            strides=(4, 5, 6, 8),
            dimension=512,
            dilations=(1,),
            resample_stride=2,
            seanet=SEANetConfig(last_kernel_size=3, shortcut="identity", norm="none"),
        ),
        quantizer=EMAQuantizerConfig(
            num_quantizers=32,
            codebook_size=2048,
            kmeans_iterations=50,
            smoothing=False,
            dead_ratio=0.1,
            dead_every=5,
            semantic=1,
            projection=256,
            kbps=(0.1375, 0.55, 1.1, 2.2, 4.4),
        ),
    )


def dac_44khz() -> Config:
    """The released 44.1 kHz DAC (arXiv 2306.06546): 9 codebooks at 86 frames per second, 7.75 kbps."""
    return _dac(44_100, 9, (2, 4, 8, 8))


def dac_24khz() -> Config:
    """The released 24 kHz DAC: 32 codebooks at 75 frames per second, 24 kbps."""
    return _dac(24_000, 32, (2, 4, 5, 8))


def dac_16khz() -> Config:
    """The released 16 kHz DAC: 12 codebooks at 50 frames per second, 6 kbps."""
    return _dac(16_000, 12, (2, 4, 5, 8))


def _dac(sample_rate: int, num_quantizers: int, strides: tuple[int, ...]) -> Config:
    """Returns a released DAC, with weight normalisation folded into the kernels."""
    config = Config(
        name=f"dac_{sample_rate // 1000}khz",
        model=DACConfig(
            sample_rate=sample_rate,
            channels=64,
            decoder_channels=96,
            strides=strides,
            dimension=1024,
            dilations=(1, 3, 9),
            weight_norm=False,
        ),
        quantizer=FactorisedQuantizerConfig(num_quantizers=num_quantizers, projection=8, dropout_share=0.5),
    )
    config.quantizer.kbps = quarter_half_and_all(config)
    return config


def quarter_half_and_all(config: Config) -> tuple[float, ...]:
    """Returns the bit rates in kbps of about a quarter, half and all of the codebooks."""
    most = config.quantizer.num_quantizers
    return tuple(config.kbps(n) for n in sorted({-(-most // 4), -(-most // 2), most}))
