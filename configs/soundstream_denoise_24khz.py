"""SoundStream at 24 kHz with denoising that can be switched on and off over time.

Paper: arXiv 2107.03312, section III-F. A FiLM layer at the bottleneck is conditioned on a one-hot "denoise" switch; the
target is the clean signal while the switch is on, and the noisy signal while it is off.

    python train.py --config=configs/soundstream_denoise_24khz.py --workdir=runs/denoise \
        --config.data.source=SPEECH_FOLDER --config.data.noise_source=NOISE_FOLDER

Hardware and time: as for `soundstream_24khz`. Expected score: the paper only has scores on its own noisy test set.

From the paper: conditioning, peak-normalised speech mixed with noise at a gain of -30 to 0 dB.
Reconstructed, in addition to `soundstream_24khz`:
  model.film = "encoder"      both sides are equally good in the paper
  data.noise_source           synthetic noise by default, which needs no download; the paper uses Freesound
  the switch                  each example is on, off, or changes once at a random frame
"""

from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


def get_config() -> Config:
    config = Config(
        name="soundstream_denoise_24khz",
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
            film="encoder",
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
    config.data.noise_source = "starter-noise"
    config.data.normalize_peak = True
    return config
