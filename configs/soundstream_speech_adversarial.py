"""soundstream-speech trained further with discriminators and a self-supervised loss: 1 to 9 kbps.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312; the self-supervised loss: JHCodec, arXiv 2603.05887.

    pip install onnx && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build librispeech.jsonl --out data/librispeech --sample-rate 16000
    codax data build speechocean.jsonl --out data/speechocean --sample-rate 16000
    python train.py --config=configs/soundstream_speech_adversarial.py --workdir=runs/adversarial \\
        --config.data.mixture.sources='("starter=starter","librispeech=data/librispeech","speechocean=data/speechocean")'

The lists of utterances are those of soundstream_speech. Not trained at full length. On two CPU cores add
`--config.train.batch_size=8 --config.quantizer.decay=0.998 --config.discriminator.drawn=1`.

Differences from soundstream_speech:
  train.start_from          the shipped model; all of it is trained
  model.noise_channels      noise for the decoder, so that frames of a pause differ; it starts as zero
  quantizer.dropout_kbps    one of the rates a batch: the low rates, where words are lost, are drawn more often
  quantizer.dead_threshold  no entry is replaced
  loss weights              the gradients of the mel and the self-supervised loss at the reconstruction are of the same
                            order; that of the discriminators is 50 times smaller, but lies in all samples, where 85 %
                            of the energy of the mel loss's lies in the quieter half
  optimizer.learning_rate   with twice this rate the scores of the start are not reached again for hundreds of steps
  self_supervised_noise     without it, most of the gradient lies in pauses
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("soundstream_speech.py"))
    config.name = "soundstream_speech_adversarial"
    config.model.noise_channels = 32

    quantizer = config.quantizer
    quantizer.start_step = 0
    quantizer.dropout_kbps = True
    quantizer.dead_threshold = 0.0

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.msstft_windows = (1024, 512, 256)
    discriminator.msstft_channels = 16
    discriminator.msstft_kernel = (3, 5)
    discriminator.shared_forward = True

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

    optimizer = config.optimizer
    optimizer.learning_rate = 1.5e-4
    optimizer.discriminator_learning_rate = 1e-3
    optimizer.warmup_steps = 100
    optimizer.final_fraction = 0.05

    train = config.train
    train.start_from = "soundstream-speech"
    train.new_decoder = True
    train.steps = 20_000
    return config
