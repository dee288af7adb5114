"""Mimi for 16 kHz speech at 1 kbps, for two CPU cores: 25 frames per second, the first codebook is semantic.

After: Défossez et al., "Moshi", arXiv 2410.00037, section 3.3; the self-supervised loss: JHCodec, arXiv 2603.05887.

    pip install onnx onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build starter --out data/starter25 --sample-rate 16000 --teacher wakehubert --pool 2
    (the same for librispeech25, speechocean25 and further25, from the lists beside the card of soundstream-speech)
    python train.py --config=configs/mimi_speech.py:first --workdir=runs/mimi-speech-1
    python train.py --config=configs/mimi_speech.py:second --workdir=runs/mimi-speech-2

Not trained to the end. `first` learns waveform, mel bands and the teacher's features; `second` continues it with
discriminators and a loss on the features of the output. After 5,000 steps of `first` (38 minutes on two CPU cores
beside other work) dWER at 1 kbps is 36 % for nine unseen speakers. 1,600 steps of `second` then lowered the comb in
pauses from 15 to 3 dB over the original's, but dWER rose to 42 %.

Differences from the paper:
  16 kHz, C = 16, D = 256     a sixteenth of the paper's parameters
  25 frames per second        four codebooks; a frame of 12.5 per second needs eight, whose later ones learn little here
  Transformers                2 layers of 256 channels on each side
  teacher                     a packaged student of HuBERT with 0.6 million parameters; 128 channels
  reconstruction losses       as in mimi_24khz:reconstruction; with adversarial ones alone, a start takes longer
  Muon, a start without quantizer, small batches: see configs/quickstart.py
"""

from pathlib import Path

from codax.config import Config, ConfigError
from codax.config.recipe_files import load_recipe


def get_config(variant: str = "first") -> Config:
    if variant not in ("first", "second"):
        raise ConfigError(f"variant {variant!r}: must be first or second")
    config = load_recipe(Path(__file__).with_name("mimi_quickstart.py"))
    config.name = "mimi-speech"
    config.model.resample_stride = 1

    quantizer = config.quantizer
    quantizer.codebook_size = 1024
    quantizer.num_quantizers = 4
    quantizer.kbps = (0.25, 0.5, 1.0)
    quantizer.gradient = "rotation"
    quantizer.dead_ratio = 0.1
    quantizer.start_step = 500

    loss = config.loss
    loss.waveform = 10.0
    loss.spectral = 40.0
    loss.spectral_form = "dac"
    loss.windows = (512, 1024, 2048)
    loss.log_floor = 2e-4
    loss.normalize_windows = False
    loss.distillation = 40.0

    optimizer = config.optimizer
    optimizer.learning_rate = 1e-3
    optimizer.warmup_steps = 200

    data = config.data
    data.source = "starter"
    mixture = data.mixture
    mixture.sources = (
        "starter=data/starter25",
        "librispeech=data/librispeech25",
        "speechocean=data/speechocean25",
        "further=data/further25",
    )
    mixture.probabilities = (0.2, 0.4, 0.15, 0.25)
    mixture.counts = (1, 1, 1, 1)
    mixture.pools = ("starter", "librispeech", "speechocean", "further")
    mixture.reverberant = (False, False, False, False)

    train = config.train
    train.steps = 20_000
    train.batch_size = 4
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 2_000
    train.eval_batches = 4
    train.checkpoint_every = 500
    if variant == "second":
        _continue(config)
    return config


def _continue(config: Config) -> None:
    """The second part: the losses of soundstream_speech_adversarial, and the codebooks as they are."""
    config.quantizer.start_step = 0
    config.quantizer.decay = 0.998
    config.quantizer.dead_ratio = 0.0
    config.quantizer.unquantized = 0.0

    # With the losses of Mimi's own start: little of the waveform, and distillation.
    own, other = config.loss, load_recipe(f"{Path(__file__).with_name('soundstream_speech_adversarial.py')}:third")
    config.discriminator, config.loss = other.discriminator, other.loss
    config.loss.waveform = 5.0
    config.loss.distillation, config.loss.distillation_form = own.distillation, own.distillation_form

    config.optimizer.learning_rate = 3e-4
    config.optimizer.discriminator_learning_rate = 1e-3
    config.optimizer.warmup_steps = 100

    train = config.train
    train.start_from = "runs/mimi-speech-1/export"
    train.steps = 3_000
    train.batch_size = 4
    train.ema_decay = 0.998
    train.eval_every = 1_000
