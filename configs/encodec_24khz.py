"""EnCodec 24 kHz: causal, mono, 1.5 to 24 kbps.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438.

    python train.py --config=configs/encodec_24khz.py --workdir=runs/encodec --config.data.source=/data/audio

With the paper's mixing of music and other sources:

    python train.py --config=configs/encodec_24khz.py --workdir=runs/encodec \
        --config.data.mixture.sources='("music=/data/jamendo","speech=/data/dns","general=/data/fsd50k")'

Hardware and time in the paper: 8 A100, 300 epochs of 2,000 updates. Not fully trained here.

From the paper: network, quantizer, windows and weights of the losses, balancer, optimiser, batch, segment length,
probability of a discriminator update, one rate per batch, discriminators for each rate, gain, mixing strategies (with
named sources), probability and RT60 of reverberation. From the released weights: reflection padding, 1 x 1 shortcuts.

Reconstructed:
  loss.spectral_form = "encodec"     L1 is the mean and L2 the root mean square over mel bins, averaged over frames
  train.ema_decay                    the paper does not state it; audiocraft uses 0.99
  data.normalize_peak                each crop has a peak of 0.95; the paper normalises files
  data.mixture                       sources are weighted by duration; only the gains of a clipped example are redrawn
  data.mixture.reverberation_source  rooms are synthetic; the paper uses impulse responses of the DNS challenge
"""

from codax.config import Config, EMAQuantizerConfig, EncodecConfig, RecurrentSEANetConfig


def get_config() -> Config:
    config = Config(
        name="encodec_24khz",
        model=EncodecConfig(
            sample_rate=24_000,
            audio_channels=1,
            channels=32,
            strides=(2, 4, 5, 8),
            dimension=128,
            kernel_size=7,
            dilations=(1,),
            causal=True,
            seanet=RecurrentSEANetConfig(
                residual_kernel_size=3,
                last_kernel_size=7,
                compress=2,
                shortcut="conv",
                norm="weight",
                pad_mode="reflect",
                lstm_layers=2,
                trim_right_ratio=1.0,
            ),
        ),
        quantizer=EMAQuantizerConfig(
            num_quantizers=32,
            codebook_size=1024,
            decay=0.99,
            kmeans_iterations=50,
            dead_threshold=2.0,
            dropout_kbps=True,
            kbps=(1.5, 3.0, 6.0, 12.0, 24.0),
        ),
    )

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.msstft_windows = (2048, 1024, 512, 256, 128)
    discriminator.msstft_kernel = (3, 8)
    discriminator.update_probability = 2 / 3
    discriminator.per_kbps = True

    loss = config.loss
    loss.waveform = 0.1
    loss.spectral = 1.0
    loss.adversarial = 3.0
    loss.feature = 3.0
    loss.commitment = 1.0
    loss.spectral_form = "encodec"
    loss.windows = (32, 64, 128, 256, 512, 1024, 2048)
    loss.feature_form = "relative"
    loss.balancer = True

    optimizer = config.optimizer
    optimizer.learning_rate = 3e-4
    optimizer.discriminator_learning_rate = 3e-4
    optimizer.beta1 = 0.5
    optimizer.beta2 = 0.9

    config.data.normalize_peak = True
    config.data.gain_db = (-10.0, 6.0)
    config.data.mixture.reverberation = 0.2

    train = config.train
    train.steps = 600_000
    train.batch_size = 64
    train.segment_seconds = 1.0
    train.ema_decay = 0.99
    return config
