"""DAC for 16 kHz speech in small, with its whole adversarial recipe: 1 to 6 kbps, trainable on two CPU cores.

Paper: Kumar et al., "High-Fidelity Audio Compression with Improved RVQGAN", arXiv 2306.06546, and its public code.

    python train.py --config=configs/dac_small.py --workdir=runs/dac-small --config.data.source=/data/speech

Not trained to the end.

As in dac_44khz: network with Snake, factorised codes that are trained by gradient, multi-band and multi-period
discriminators, least squares, losses and their weights, but for the waveform loss.

Smaller:
  16 kHz, 50 frames/s         strides 4 and 5 after a first convolution with stride 16; 12 codebooks of 0.5 kbps
  C = 64, D = 128             256 channels in the last block instead of 1,024
  discriminators              windows 1024 and 512 with 8 channels, periods 2, 3 and 5 with 64 channels at most; 0.25 s
                              of each signal
  batches of 8 x 0.5 s        Muon for the generator: it learns more in the same number of steps
  discriminators start at step 500
Other:
  loss.waveform               without it, as in the paper, 3,000 steps give formants without harmonics, a whisper, and
                              all rates sound the same (docs/results.md); its effect is not measured
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(f"{Path(__file__).with_name('dac_44khz.py')}:16khz")
    config.name = "dac_small"
    model = config.model
    model.channels = 64
    model.decoder_channels = 64
    model.stem_stride = 16
    model.strides = (4, 5)
    model.max_channels = 256
    model.dimension = 128

    config.quantizer.kbps = (1.0, 2.0, 3.0, 6.0)

    discriminator = config.discriminator
    discriminator.periods = (2, 3, 5)
    discriminator.hifigan_max_channels = 64
    discriminator.bands_windows = (1024, 512)
    discriminator.bands_channels = 8
    discriminator.crop_seconds = 0.25
    discriminator.start_step = 500

    config.loss.waveform = 40.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.discriminator_learning_rate = 2e-4
    optimizer.weight_decay = 0.0
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02

    train = config.train
    train.steps = 12_000
    train.batch_size = 8
    train.segment_seconds = 0.5
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 1_000
    train.checkpoint_every = 250
    return config
