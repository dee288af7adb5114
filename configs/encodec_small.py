"""EnCodec for 16 kHz speech in small, with its whole adversarial recipe: 2 and 6 kbps, trainable on two CPU cores.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438.

    python train.py --config=configs/encodec_small.py --workdir=runs/encodec-small --config.data.source=/data/speech

3,000 steps take 45 minutes on one core of an Intel Xeon: the result has the formants and harmonics of the speech, but
few words can be understood (docs/results.md). Not trained to the end.

As in encodec_24khz: network, balancer, a set of discriminators for each rate, which two thirds of the steps update, one
rate per batch.

Smaller:
  16 kHz, 100 frames/s        strides 5 and 2 after a first convolution with stride 16; 1 kbps for each codebook
  C = 64                      256 channels in the last block instead of 512; one layer of LSTM
  discriminators              windows 1024, 512 and 256 with 8 channels and kernels of 3 x 5; two sets
  batches of 8 x 0.5 s        Muon for the generator: it learns more in the same number of steps
  codebooks start at step 200 the network first learns the waveform; discriminators start at step 400
Other:
  loss.adversarial, feature   a third of the gradient each instead of 42 %, with which discriminators of this size did
                              not learn in 1,800 steps
  learning rates              1e-3 for both sides
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
    quantizer.num_quantizers = 6
    quantizer.kbps = (2.0, 6.0)
    quantizer.start_step = 200
    quantizer.kmeans_alternate = True
    quantizer.dead_threshold = 0.05

    discriminator = config.discriminator
    discriminator.msstft_windows = (1024, 512, 256)
    discriminator.msstft_channels = 8
    discriminator.msstft_kernel = (3, 5)
    discriminator.start_step = 400

    config.loss.adversarial = config.loss.feature = 1.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.discriminator_learning_rate = 1e-3
    optimizer.beta1, optimizer.beta2 = 0.8, 0.99
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
