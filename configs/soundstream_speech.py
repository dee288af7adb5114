"""SoundStream for 16 kHz speech at 1 to 9 kbps, which the shipped model `soundstream-speech` starts from.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312; with 1,000 steps per second after the first layer instead of
24,000, and without discriminators.

    codax data build librispeech.jsonl --out data/librispeech --sample-rate 16000
    codax data build speechocean.jsonl --out data/speechocean --sample-rate 16000
    python train.py --config=configs/soundstream_speech.py --workdir=runs/soundstream-speech \
        --config.data.mixture.sources='("starter=starter","librispeech=data/librispeech","speechocean=data/speechocean")'

The two lists of utterances are in the folder of the model's card (codecs/codax/codec/models/soundstream-speech). The
card has the commands: this recipe in two parts, where the first starts the codebooks on a CPU, and then
soundstream_speech_adversarial. It also has the scores.

Hardware and time: a GPU; 9 minutes on an H100. On two CPU cores, a step of 16 examples takes 1.4 s: use
`train.batch_size=16` with `train.start_from=soundstream-speech`, or `quickstart`.
"""

from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


def get_config() -> Config:
    config = Config(
        name="soundstream-speech",
        model=SoundStreamConfig(
            sample_rate=16_000,
            audio_channels=1,
            channels=128,
            stem_stride=16,
            strides=(5, 2),
            max_channels=256,
            dimension=128,
            kernel_size=3,
            dilations=(1, 3, 9),
            residual_scale=0.1,
        ),
        quantizer=EMAQuantizerConfig(
            codebook_size=1024,
            num_quantizers=9,
            kbps=(1.0, 2.0, 3.0, 6.0, 9.0),
            gradient="rotation",
            kmeans_alternate=True,
            dead_threshold=0.5,
            start_step=300,
            beam=4,
        ),
    )

    loss = config.loss
    loss.waveform = 60.0
    loss.spectral = 40.0
    loss.spectral_form = "dac"
    loss.spectral_start_step = 300
    loss.windows = (512, 1024, 2048)
    loss.log_floor = 2e-4
    loss.adversarial = 0.0
    loss.feature = 0.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1e-3
    optimizer.beta1 = 0.8
    optimizer.beta2 = 0.99
    optimizer.warmup_steps = 300
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02
    optimizer.clip_norm = 1.0

    data = config.data
    data.gain_db = (-6.0, 3.0)
    data.speed = (0.8, 1.3)
    data.mixture.probabilities = (0.25, 0.5, 0.25)
    data.mixture.counts = (1, 1, 1)
    data.mixture.pools = ("starter", "librispeech", "speechocean")
    data.mixture.reverberant = (False, False, False)

    train = config.train
    train.steps = 42_000
    train.batch_size = 64
    train.segment_seconds = 1.0
    train.ema_decay = 0.999
    train.log_every = 500
    train.eval_every = 10_000
    train.checkpoint_every = 10_000
    return config
