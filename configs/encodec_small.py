"""EnCodec for 16 kHz speech in small, with its whole adversarial recipe: 1 to 8 kbps, trainable on two CPU cores.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438.

    python train.py --config=configs/encodec_small.py --workdir=runs/encodec-small --config.data.source=/data/speech

Not trained to the end.

As in encodec_24khz: network, balancer and its weights, a set of discriminators for each rate, which two thirds of the
steps update, one rate per batch.

Smaller:
  16 kHz, 100 frames/s        strides 2, 4, 5, 4; 1 kbps for each codebook
  C = 16                      half of the paper's channels in every layer but the latent; one layer of LSTM
  discriminators              windows 1024, 512 and 256 with 16 channels and kernels of 3 x 5
  batches of 8 x 1 s          Muon for the generator: it learns more in the same number of steps
  codebooks start at step 500 the network first learns the waveform; discriminators start at step 1,000
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("encodec_24khz.py"))
    config.name = "encodec_small"
    model = config.model
    model.sample_rate = 16_000
    model.channels = 64
    model.stem_stride = 16
    model.strides = (5, 2)
    model.seanet.lstm_layers = 1

    quantizer = config.quantizer
    quantizer.num_quantizers = 8
    quantizer.kbps = (1.0, 2.0, 4.0, 8.0)
    quantizer.start_step = 500
    quantizer.kmeans_alternate = True
    quantizer.dead_threshold = 0.05

    discriminator = config.discriminator
    discriminator.msstft_windows = (1024, 512, 256)
    discriminator.msstft_channels = 16
    discriminator.msstft_kernel = (3, 5)
    discriminator.start_step = 1_000

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.beta1, optimizer.beta2 = 0.8, 0.99
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02

    train = config.train
    train.steps = 20_000
    train.batch_size = 8
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 2_000
    train.checkpoint_every = 1_000
    return config
