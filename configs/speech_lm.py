"""A small speech language model: continues speech, as codes of the shipped speechtokenizer-speech.

After: Borsos et al., "AudioLM", arXiv 2209.03143 (semantic codes first), and Copet et al., "Simple and Controllable
Music Generation", arXiv 2306.05284 (the delay layout); made smaller. examples/speech_lm/README.md has the commands.

    codax tokenize starter --out runs/speech_lm/tokens --model speechtokenizer-speech
    python train.py --config=configs/speech_lm.py --workdir=runs/speech_lm/run

8.9 million parameters. Differences from the papers: one Transformer for all codebooks, the semantic one among them; no
text. Reconstructed: all sizes.
"""

from codax.config import Config


def get_config() -> Config:
    config = Config(name="speech_lm")
    lm = config.lm
    lm.codec = "speechtokenizer-speech"
    lm.tokens = "runs/speech_lm/tokens"
    lm.layout = "delay"
    lm.dim = 256
    lm.layers = 6
    lm.heads = 8
    lm.hidden = 1024
    lm.past_seconds = 4.0
    lm.offset_seconds = 10.0  # so that continuations may be longer than the training sequences

    optimizer = config.optimizer
    optimizer.learning_rate = 7e-4
    optimizer.beta1, optimizer.beta2 = 0.9, 0.98
    optimizer.warmup_steps = 200
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.05
    optimizer.clip_norm = 1.0

    train = config.train
    train.steps = 6_000
    train.batch_size = 4
    train.segment_seconds = 6.0
    train.ema_decay = 0.99
    train.log_every = 50
    train.eval_every = 500
    train.eval_batches = 10
    train.checkpoint_every = 100
    return config
