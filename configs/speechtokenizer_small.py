"""SpeechTokenizer in small, with its whole adversarial recipe: 0.5 to 4 kbps, trainable on two CPU cores.

Paper: Zhang et al., "SpeechTokenizer", arXiv 2308.16692, and its public code's configuration.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build /data/speech --out data/speech --sample-rate 16000 --teacher wakehubert
    python train.py --config=configs/speechtokenizer_small.py --workdir=runs/speechtokenizer-small \
        --config.data.source=data/speech

After 2,500 steps, 48 minutes on one core of an Intel Xeon, two fifths of the words can be understood at 4 kbps
(docs/results.md). Not trained to the end.

As in speechtokenizer_16khz: network, multi-period, multi-scale and multi-scale STFT discriminators, least squares,
losses and their weights, distillation, no quantizer dropout.

Smaller:
  C = 64, D = 128             strides 4 and 5 after a first convolution with stride 16; 256 channels in the last block
                              instead of 1,024, an eighth of the latent; one layer of LSTM
  discriminators              periods 2, 3 and 5, two scales and two windows, with 32 (8) channels at most; 0.25 s of
                              each signal. With 64 channels and whole signals a step took four times as long
  teacher                     a packaged student of HuBERT with 0.6 million parameters; 128 channels
  batches of 8 x 0.5 s        Muon for the generator: it learns more in the same number of steps
  codebooks start at step 200 the network first learns the waveform; discriminators start at step 400
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("speechtokenizer_16khz.py"))
    config.name = "speechtokenizer_small"
    model = config.model
    model.channels = 64
    model.stem_stride = 16
    model.strides = (4, 5)
    model.dimension = 128
    model.semantic_dimension = 128
    model.seanet.lstm_layers = 1

    quantizer = config.quantizer
    quantizer.start_step = 200
    quantizer.kmeans_alternate = True
    quantizer.dead_threshold = 0.05

    discriminator = config.discriminator
    discriminator.periods = (2, 3, 5)
    discriminator.scales = 2
    discriminator.hifigan_max_channels = 32
    discriminator.msstft_windows = (1024, 256)
    discriminator.msstft_channels = 8
    discriminator.msstft_kernel = (3, 5)
    discriminator.crop_seconds = 0.25
    discriminator.start_step = 400

    config.teacher.source = "precomputed"

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.discriminator_learning_rate = 3e-4
    optimizer.beta1, optimizer.beta2 = 0.8, 0.99
    optimizer.warmup_steps = 100
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
