"""SoundStream at 24 kHz, 3 to 18 kbps with one model.

Paper: Zeghidour et al., "SoundStream: An End-to-End Neural Audio Codec", arXiv 2107.03312.

    python train.py --config=configs/soundstream_24khz.py --workdir=runs/soundstream --config.data.source=FOLDER

Hardware and time: the paper states none. Expect several days on eight accelerators.
Expected score: ViSQOL 3.76 at 3 kbps and 4.01 at 6 kbps on the paper's own mixed test set; scores on other data are not
comparable.

From the paper: the network (C = 32, strides 2 4 5 8, dilations 1 3 9), the quantizer (1024 entries, decay 0.99, k-means
start, entries below a count of 2 replaced, quantizer dropout per example), the four discriminators, the loss weights
1 / 100 / 1 and the mel loss. Discriminators and losses are the defaults of `codax.config`.

Reconstructed, since the paper does not state them:
  model.dimension = 64        64 to 512 give 9.5 to 11.8 M parameters; the paper reports about 8.4 M
  loss.commitment = 1         the paper names no commitment loss; without one the latent drifts from the codebooks
  optimizer.*                 Adam 1e-4, (0.5, 0.9), constant: usual for this family of adversarial training
  train.batch_size, segment   32 x 1 s
  train.steps                 1 M
  train.ema_decay             averaged weights are exported
  data.gain_db                mild augmentation of the level
  the residual unit           activation before each convolution; LeakyReLU and kernels in the discriminators
  the mel loss                magnitudes, mean over frames
"""

from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


def get_config() -> Config:
    config = Config(
        name="soundstream_24khz",
        model=SoundStreamConfig(
            sample_rate=24_000,
            audio_channels=1,
            channels=32,
            strides=(2, 4, 5, 8),
            dimension=64,
            kernel_size=7,
            latent_kernel_size=3,
            dilations=(1, 3, 9),
            causal=True,
        ),
        quantizer=EMAQuantizerConfig(
            num_quantizers=24,
            codebook_size=1024,
            decay=0.99,
            kmeans_iterations=10,
            dead_threshold=2.0,
            dropout=True,
            kbps=(3.0, 6.0, 12.0, 18.0),
        ),
    )
    config.data.gain_db = (-6.0, 3.0)
    return config
