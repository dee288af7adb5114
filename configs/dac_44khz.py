"""DAC: 44.1 kHz music, speech and sound, 9 codebooks at 86 frames per second, 7.75 kbps; not causal.

Paper: Kumar et al., "High-Fidelity Audio Compression with Improved RVQGAN", arXiv 2306.06546, and its public code.

    python train.py --config=configs/dac_44khz.py --workdir=runs/dac --config.data.source=/data/audio
    python train.py --config=configs/dac_44khz.py:24khz ...   # 32 codebooks, 24 kbps
    python train.py --config=configs/dac_44khz.py:16khz ...   # 12 codebooks, 6 kbps

Hardware: the paper used GPUs, batches of 72 x 0.38 s and 400,000 steps. Not fully trained here.

From the paper and the code's configuration: network, quantizer and its dropout, losses and their weights,
discriminators, AdamW with weight decay 0.01 (PyTorch's default), learning rate and its decay, gradient clipping, batch
and segment. As in the code, a level's residual is not detached from the previous levels.

Differences:
  segments           32 whole frames (0.37 s); the code pads 0.38 s to 33
  periods            signals of whole periods are not padded; the code pads them by a period
  data               crops are not changed; the code scales each to -16 LUFS, shifts its phase, and draws from sources
                     in turn (see data.mixture)
"""

from codax.config import Config, DACConfig, FactorisedQuantizerConfig

# Sample rate, strides, codebooks.
VARIANTS = {
    "44khz": (44_100, (2, 4, 8, 8), 9),
    "24khz": (24_000, (2, 4, 5, 8), 32),
    "16khz": (16_000, (2, 4, 5, 8), 12),
}


def get_config(variant: str = "44khz") -> Config:
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r}: expected one of {', '.join(VARIANTS)}")
    sample_rate, strides, codebooks = VARIANTS[variant]
    config = Config(
        name=f"dac_{variant}",
        model=DACConfig(
            sample_rate=sample_rate,
            audio_channels=1,
            channels=64,
            decoder_channels=96,
            strides=strides,
            dimension=1024,
            kernel_size=7,
            latent_kernel_size=3,
            dilations=(1, 3, 9),
            causal=False,
            weight_norm=True,
        ),
        quantizer=FactorisedQuantizerConfig(
            num_quantizers=codebooks, codebook_size=1024, projection=8, dropout_share=0.5, kbps=()
        ),
    )
    # About a quarter, half and all of the codebooks.
    config.quantizer.kbps = tuple(config.kbps(n) for n in sorted({-(-codebooks // 4), -(-codebooks // 2), codebooks}))

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.periods = (2, 3, 5, 7, 11)
    discriminator.hifigan_logits = False
    discriminator.bands_windows = (2048, 1024, 512)
    discriminator.normalize = True

    loss = config.loss
    loss.spectral = 15.0
    loss.spectral_form = "dac"
    loss.windows = (32, 64, 128, 256, 512, 1024, 2048)
    loss.window_mels = (5, 10, 20, 40, 80, 160, 320)
    loss.adversarial = 1.0
    loss.adversarial_form = "least_squares"
    loss.feature = 2.0
    loss.sum_discriminators = True
    loss.commitment = 0.25
    loss.codebook = 1.0

    optimizer = config.optimizer
    optimizer.learning_rate = 1e-4
    optimizer.discriminator_learning_rate = 1e-4
    optimizer.beta1, optimizer.beta2 = 0.8, 0.99
    optimizer.weight_decay = 0.01
    optimizer.schedule = "exponential"
    optimizer.gamma = 0.999996
    optimizer.clip_norm = 1e3
    optimizer.discriminator_clip_norm = 10.0

    train = config.train
    train.steps = 400_000
    train.batch_size = 72
    train.segment_seconds = 0.38
    train.ema_decay = 0.0
    return config
