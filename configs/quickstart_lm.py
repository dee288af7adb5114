"""A language model of the quickstart's codes, which makes files smaller.

After: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438, section 3.3; made smaller.

    python train.py --config=configs/quickstart_lm.py --workdir=runs/quickstart_lm
    codax encode speech.wav speech.codax --model runs/quickstart/export --entropy lm --lm runs/quickstart_lm/export

Differences from the paper: three layers of 128 channels, context of one second (200 frames), and sequences that begin
at position 0, as the blocks of a file do. The integer model can code whole files on a laptop;
configs/encodec_lm_24khz.py has the paper's size.
"""

from codax.config import Config


def get_config() -> Config:
    config = Config(name="quickstart_lm")
    config.lm.codec = "runs/quickstart/export"
    config.lm.dim = 128
    config.lm.layers = 3
    config.lm.hidden = 512
    config.lm.past_seconds = 1.0

    optimizer = config.optimizer
    optimizer.learning_rate = 1e-3
    optimizer.beta1, optimizer.beta2 = 0.9, 0.98
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.05
    optimizer.clip_norm = 1.0

    config.data.gain_db = (-6.0, 3.0)
    train = config.train
    train.steps = 2_000
    train.batch_size = 4
    train.segment_seconds = 2.5
    train.ema_decay = 0.99
    train.log_every = 50
    train.eval_every = 500
    train.checkpoint_every = 500
    return config
