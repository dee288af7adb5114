"""Mimi: 24 kHz speech, 12.5 frames per second, 1.1 kbps with 8 of 32 codebooks; the first one is semantic.

After: Défossez et al., "Moshi: a speech-text foundation model for real-time dialogue", arXiv 2410.00037, section 3.3.

    python train.py --config=configs/mimi_24khz.py --workdir=runs/mimi \
        --config.data.source='speech/*.array_record' --config.teacher.source=wavlm-large
    python train.py --config=configs/mimi_24khz.py:reconstruction ...   # with waveform and mel losses too

Hardware in the paper: not stated; batches of 128 x 12 s, 4 million updates. Not fully trained here.

From the paper: network, split quantizer, probability of no quantization, dropout on acoustic levels, AdamW with weight
decay on the Transformers only, averaged weights, batch and segment, adversarial and feature losses only (as released)
or with reconstruction losses, WavLM's features averaged to 12.5 frames per second, cosine distillation. From the public
code: k-means, decay and replacement of dead entries, initial layer scale.

Reconstructed:
  loss weights, balancer      audiocraft's for EnCodec; the paper does not state the weight of distillation
  discriminators              EnCodec's multi-scale STFT discriminator, as in audiocraft
  teacher.layer               WavLM large's last layer
  teacher features            computed from each crop, averaged around the centre of a frame
  unquantized examples        one draw for both stacks; distillation uses the quantized first level
"""

from codax.config import Config, EMAQuantizerConfig, MimiConfig, SEANetConfig, TransformerConfig

VARIANTS = ("adversarial", "reconstruction")


def get_config(variant: str = "adversarial") -> Config:
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r}: expected {' or '.join(VARIANTS)}")
    config = Config(
        name="mimi_24khz",
        model=MimiConfig(
            sample_rate=24_000,
            audio_channels=1,
            channels=64,
            strides=(4, 5, 6, 8),
            dimension=512,
            kernel_size=7,
            dilations=(1,),
            semantic_dimension=1024,
            resample_stride=2,
            seanet=SEANetConfig(
                residual_kernel_size=3, last_kernel_size=3, compress=2, shortcut="identity", norm="weight"
            ),
            transformer=TransformerConfig(
                layers=8, heads=8, hidden=2048, context=250, layer_scale=0.01, period=10_000.0
            ),
        ),
        quantizer=EMAQuantizerConfig(
            num_quantizers=32,
            codebook_size=2048,
            decay=0.99,
            kmeans_iterations=50,
            smoothing=False,
            dead_ratio=0.1,
            dead_every=5,
            semantic=1,
            projection=256,
            unquantized=0.5,
            kbps=(0.1375, 0.55, 1.1, 2.2, 4.4),
        ),
    )

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.msstft_windows = (2048, 1024, 512, 256, 128)

    loss = config.loss
    loss.waveform, loss.spectral = (0.1, 2.0) if variant == "reconstruction" else (0.0, 0.0)
    loss.spectral_form = "audiocraft"
    loss.windows = (32, 64, 128, 256, 512, 1024, 2048)
    loss.adversarial = 4.0
    loss.feature = 4.0
    loss.balancer = True
    loss.commitment = 1.0
    loss.distillation = 1.0
    loss.distillation_form = "cosine"

    config.teacher.source = "wavlm-large"
    config.teacher.layer = 24
    config.teacher.pool = 4

    optimizer = config.optimizer
    optimizer.learning_rate = 8e-4
    optimizer.discriminator_learning_rate = 8e-4
    optimizer.beta1, optimizer.beta2 = 0.5, 0.9
    optimizer.weight_decay = 5e-2
    optimizer.decay_transformers_only = True

    train = config.train
    train.steps = 4_000_000
    train.batch_size = 128
    train.segment_seconds = 12.0
    train.ema_decay = 0.99
    return config
