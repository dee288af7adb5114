"""Mimi for 16 kHz speech in small, with its whole adversarial recipe: 12.5 frames per second, 8 codebooks are 1.1 kbps.

Paper: Défossez et al., "Moshi", arXiv 2410.00037, section 3.3.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build /data/speech --out data/speech12 --sample-rate 16000 --teacher wakehubert --pool 4
    python train.py --config=configs/mimi_small.py --workdir=runs/mimi-small --config.data.source=data/speech12
    python train.py --config=configs/mimi_small.py:reconstruction ...   # with waveform and mel losses too

Not trained to the end.

As in mimi_24khz: network, split quantizer, examples without quantization, dropout on acoustic levels, adversarial and
feature losses alone with a balancer (as released), cosine distillation, weight decay on the Transformers only.

Smaller:
  16 kHz, C = 64, D = 256     strides 5 and 8 after a first convolution with stride 16; 256 channels in the last block
                              instead of 1,024; 25 steps and 12.5 frames per second are the same
  Transformers                2 layers of 256 channels on each side
  quantizer                   16 codebooks of 2,048
  discriminators              windows 1024, 512 and 256 with 16 channels and kernels of 3 x 5
  teacher                     a packaged student of HuBERT with 0.6 million parameters; 128 channels
  batches of 4 x 2 s          Muon for the generator: it learns more in the same number of steps
  codebooks start at step 500
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config(variant: str = "adversarial") -> Config:
    config = load_recipe(f"{Path(__file__).with_name('mimi_24khz.py')}:{variant}")
    config.name = "mimi_small"
    model = config.model
    model.sample_rate = 16_000
    model.channels = 64
    model.stem_stride = 16
    model.strides = (5, 8)
    model.dimension = 256
    model.semantic_dimension = 128
    transformer = model.transformer
    transformer.layers, transformer.heads, transformer.hidden, transformer.layer_scale = 2, 4, 768, 0.1

    quantizer = config.quantizer
    quantizer.num_quantizers = 16
    quantizer.projection = 128
    quantizer.kbps = (0.1375, 0.55, 1.1, 2.2)
    quantizer.start_step = 500
    quantizer.kmeans_alternate = True

    discriminator = config.discriminator
    discriminator.msstft_windows = (1024, 512, 256)
    discriminator.msstft_channels = 16
    discriminator.msstft_kernel = (3, 5)

    config.teacher.source = "precomputed"

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.discriminator_learning_rate = 3e-4
    optimizer.beta1, optimizer.beta2 = 0.8, 0.99
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02

    train = config.train
    train.steps = 20_000
    train.batch_size = 4
    train.segment_seconds = 2.0
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 2_000
    train.checkpoint_every = 1_000
    return config
