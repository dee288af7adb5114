"""EnCodec's language model for the codes of its 24 kHz codec: 5 layers of 200 channels, context of 3.5 s.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438, section 3.3.

    python train.py --config=configs/encodec_lm_24khz.py --workdir=runs/lm --config.lm.codec=MODEL \
        --config.data.source=/data/audio

MODEL is a trained or imported codec, such as EnCodec's. From the paper: network, sequences of 5 s with random start
positions. Reconstructed, since nothing is public: optimiser, batch size, number of steps. Not fully trained here.
"""

from codax.config import Config


def get_config() -> Config:
    config = Config(name="encodec_lm_24khz")
    config.lm.codec = "models/encodec_24khz"
    config.lm.offset_seconds = 30.0

    optimizer = config.optimizer
    optimizer.learning_rate = 3e-4
    optimizer.beta1, optimizer.beta2 = 0.9, 0.98
    optimizer.warmup_steps = 1_000
    optimizer.schedule = "cosine"
    optimizer.clip_norm = 1.0

    config.data.normalize_peak = True
    config.data.gain_db = (-10.0, 6.0)
    train = config.train
    train.steps = 200_000
    train.batch_size = 32
    train.segment_seconds = 5.0
    train.ema_decay = 0.999
    return config
