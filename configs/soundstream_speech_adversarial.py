"""soundstream-speech trained further with discriminators and a self-supervised loss: 1 to 9 kbps.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312; the self-supervised loss: JHCodec, arXiv 2603.05887.

    pip install onnx && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    DATA='("starter=data/telephone.jsonl","librispeech=data/librispeech","speechocean=data/speechocean","further=data/further")'
    python train.py --config=configs/soundstream_speech_adversarial.py:first --workdir=runs/adversarial-1 \
        --config.data.mixture.sources="$DATA"
    python train.py --config=configs/soundstream_speech_adversarial.py:second --workdir=runs/adversarial-2 \
        --config.data.mixture.sources="$DATA"
    python tools/average_models.py runs/adversarial-1/export runs/adversarial-2/export --out runs/adversarial-12
    python train.py --config=configs/soundstream_speech_adversarial.py:third --workdir=runs/adversarial-3 \
        --config.data.mixture.sources="$DATA"
    python tools/average_models.py runs/adversarial-12 runs/adversarial-3/export --out runs/adversarial

This trained the shipped model `soundstream-speech`, whose card has the lists of utterances, how the data are built, and
the training of `runs/soundstream-speech-2/export`, which `first` starts from. `second` continues it with one more and
longer window, compressed magnitudes, and a greater share of the discriminators. `third` continues the average of the
two with a greater self-supervised loss. 27, 45 and 45 minutes on two CPU cores.

Differences from soundstream_speech:
  train.start_from          a model of soundstream_speech; all of it is trained
  model.noise_channels      noise for the decoder, so that frames of a pause differ; it starts as zero
  quantizer.dropout_kbps    one of the rates a batch: the low rates, where words are lost, are drawn more often
  quantizer.dead_threshold  no entry is replaced
  loss weights              the gradients of the mel and the self-supervised loss at the reconstruction are of the same
                            order; that of the discriminators is 50 times smaller, but lies in all samples, where 85 %
                            of the energy of the mel loss's lies in the quieter half (benchmarks/loss_gradients.py)
  optimizer.learning_rate   with twice this rate the scores of the start are not reached again for hundreds of steps
  msstft_power              in `second` and `third`, compressed magnitudes, with which discriminators process pauses
  self_supervised_noise     without it, most of the gradient lies in pauses

The shipped model's discriminators had a learning rate that fell more slowly: the schedule of a drawn discriminator then
covered all steps, and now covers its own updates.
"""

from pathlib import Path

from codax.config import Config, ConfigError
from codax.config.recipe_files import load_recipe


def get_config(variant: str = "first") -> Config:
    config = load_recipe(Path(__file__).with_name("soundstream_speech.py"))
    if variant not in ("first", "second", "third"):
        raise ConfigError(f"variant {variant!r}: must be first, second or third")
    config.name = "soundstream_speech_adversarial"
    config.model.noise_channels = 32

    quantizer = config.quantizer
    quantizer.start_step = 0
    quantizer.dropout_kbps = True
    quantizer.decay = 0.998
    quantizer.dead_threshold = 0.0

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.msstft_windows = (1024, 512, 256)
    discriminator.msstft_channels = 16
    discriminator.msstft_kernel = (3, 5)
    discriminator.shared_forward = True
    discriminator.drawn = 1

    loss = config.loss
    loss.waveform = 40.0
    loss.spectral = 25.0
    loss.spectral_start_step = 0
    loss.self_supervised = 40.0
    loss.self_supervised_teacher = "wakehubert"
    loss.self_supervised_layers = (2, 5, 8)
    loss.self_supervised_noise = 0.003
    loss.adversarial = 1.0
    loss.feature = 2.0
    loss.feature_form = "relative"

    mixture = config.data.mixture
    mixture.probabilities = (0.15, 0.45, 0.15, 0.25)
    mixture.counts = (1, 1, 1, 1)
    mixture.pools = ("starter", "librispeech", "speechocean", "further")
    mixture.reverberant = (False, False, False, False)

    optimizer = config.optimizer
    optimizer.learning_rate = 1.5e-4
    optimizer.discriminator_learning_rate = 1e-3
    optimizer.warmup_steps = 100
    optimizer.final_fraction = 0.05

    train = config.train
    train.start_from = "runs/soundstream-speech-2/export"
    train.new_decoder = True
    train.steps = 3_600
    train.batch_size = 8
    train.ema_decay = 0.998
    train.log_every = 100
    train.eval_every = 1_200
    train.eval_batches = 4
    train.checkpoint_every = 500
    if variant != "first":
        train.start_from = "runs/adversarial-1/export" if variant == "second" else "runs/adversarial-12"
        train.steps, train.eval_every = 6_000, 2_000
        discriminator.msstft_windows = (2048, 1024, 512, 256)
        discriminator.msstft_power = 0.5
        loss.waveform, loss.spectral, loss.adversarial, loss.feature = 20.0, 15.0, 3.0, 6.0
    if variant == "third":
        loss.spectral, loss.self_supervised, loss.adversarial, loss.feature = 20.0, 60.0, 2.0, 4.0
    return config
