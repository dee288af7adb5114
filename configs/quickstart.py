"""A small SoundStream for 16 kHz speech, trainable on two CPU cores in under half an hour.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312; made smaller and trained in two stages.

    make train
    python train.py --config=configs/quickstart.py --workdir=runs/quickstart

docs/results.md has the measured time and scores.

Differences from the paper:
  model.stem_stride = 16      layers at the full rate cost most; the first convolution (kernel 32) reduces it to 1 kHz
  strides 16 x 5, C = 96      matrices are large enough for a CPU; 0.67 M parameters, 200 frames/s and 2 kbps per level
  model.residual_scale = 0.1  residual units start near the identity, so that hundreds of steps learn the waveform
  model.kernel_size = 3, dilations 1 and 3
  optimizer.kind = "muon"     it reaches the same quality in about half of Adam's steps
  batches of 8 x 0.5 s        many small steps learn more per minute than a few large ones
  two stages                  an autoencoder first learns the waveform and its phase; then k-means starts the codebooks,
                              and the mel loss, mostly logarithmic, shapes the spectrum
  quantizer.dead_threshold    the paper's count of 2 assumes batches of thousands of frames; batches here have 800
  no discriminators           they would double the time of a step
"""

from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


def get_config() -> Config:
    config = Config(
        name="quickstart",
        model=SoundStreamConfig(
            sample_rate=16_000,
            audio_channels=1,
            channels=96,
            stem_stride=16,
            strides=(5,),
            dimension=128,
            kernel_size=3,
            dilations=(1, 3),
            residual_scale=0.1,
        ),
        quantizer=EMAQuantizerConfig(
            codebook_size=1024,
            num_quantizers=9,
            kbps=(6.0, 12.0, 18.0),
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

    data = config.data
    data.gain_db = (-6.0, 3.0)

    train = config.train
    train.steps = 16_000
    train.batch_size = 8
    train.segment_seconds = 0.5
    train.ema_decay = 0.995
    train.log_every = 50
    train.eval_every = 2_000
    train.checkpoint_every = 1_000
    return config
