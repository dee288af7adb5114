"""A small SoundStream for 16 kHz speech that two CPU cores train in under half an hour.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312; made smaller and trained in another order.

    make train
    python train.py --config=configs/quickstart.py --workdir=runs/quickstart

Hardware and time: see the README for the measured time and scores.

What differs from the paper, and why:
  model.stem_stride = 8       a step costs most at full rate; the first convolution goes straight to 2 kHz (kernel 16)
  model.residual_scale = 0.1  residual units start near the identity: the waveform is learned in hundreds of steps
  model.kernel_size = 3, dilations 1 and 3, C = 32, strides 8 x 4 x 5: 0.33 M parameters, 100 frames per second
  two stages                  first an autoencoder on the waveform alone, which finds the phase quickly; then k-means
                              starts the codebooks and the mel loss, mostly logarithmic, shapes the spectrum
  quantizer.dead_threshold    the paper's count of 2 presumes batches of thousands of frames; here there are 800
  no discriminators           they would double the time of a step
  optimizer.*                 a large learning rate with warm-up and cosine decay
"""

from codax.config import Config


def get_config() -> Config:
    config = Config(name="quickstart")

    model = config.model
    model.sample_rate = 16_000
    model.channels = 32
    model.stem_stride = 8
    model.strides = (4, 5)
    model.dimension = 64
    model.kernel_size = 3
    model.dilations = (1, 3)
    model.residual_scale = 0.1

    quantizer = config.quantizer
    quantizer.num_quantizers = 12
    quantizer.kbps = (3.0, 6.0, 12.0)
    quantizer.dead_threshold = 0.05
    quantizer.start_step = 400

    loss = config.loss
    loss.waveform = 30.0
    loss.spectral = 60.0
    loss.spectral_start_step = 400
    loss.windows = (256, 512, 1024, 2048)
    loss.log_floor = 1e-3
    loss.normalize_windows = True
    loss.adversarial = 0.0
    loss.feature = 0.0

    optimizer = config.optimizer
    optimizer.learning_rate = 4e-3
    optimizer.beta1 = 0.8
    optimizer.beta2 = 0.99
    optimizer.warmup_steps = 200
    optimizer.schedule = "cosine"
    optimizer.final_fraction = 0.02
    optimizer.clip_norm = 1.0

    data = config.data
    data.gain_db = (-6.0, 3.0)

    train = config.train
    train.steps = 4_000
    train.batch_size = 16
    train.segment_seconds = 0.5
    train.ema_decay = 0.995
    train.log_every = 50
    train.eval_every = 1_000
    train.checkpoint_every = 500
    return config
