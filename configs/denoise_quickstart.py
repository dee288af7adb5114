"""Denoising that can be switched on, for a trained model, on two CPU cores.

After: Zeghidour et al., "SoundStream", arXiv 2107.03312, section III-F: one codec compresses and denoises, frame by
frame as a switch says, without delay.

    make train     # trains runs/quickstart/export, which this recipe starts from
    python train.py --config=configs/denoise_quickstart.py --workdir=runs/denoise
    codax encode noisy.wav speech.codax --model runs/denoise/export --denoise

`--config.train.start_from` takes any other SoundStream, and `--config.data.noise_source` recordings of noise.
Hardware and time: two CPU cores; 37 minutes beside other work. docs/results.md has the scores.

From the paper: the switch at the bottleneck, here on the encoder's side, so that the codes are those of clean speech;
peak-normalised speech and noise, which are mixed at a random gain.
Differences from the paper:
  model.film_dilations      the paper trains the network with a FiLM layer for both values of the switch; here the
                            network is a trained one and frozen, and the switch turns residual units on, which see
                            0.8 s of the past. Without denoising the codes and the audio are those of the model before,
                            and both models decode them
  data.noise_source         synthetic noise, which needs no download; the paper uses Freesound
  data.noise_gain_db        -20 to 0 dB; the paper's -30 dB hardly adds noise
  loss.waveform             three times that of quickstart: the ratio of speech to noise rises faster, and the mel
                            distance falls as before
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("quickstart.py"))
    config.name = "denoise_quickstart"
    config.model.film = "encoder"
    config.model.film_dilations = (1, 3, 9, 27, 1, 3, 9, 27)
    config.model.film_channels = 384
    config.quantizer.start_step = 0
    config.loss.spectral_start_step = 0
    config.loss.waveform = 100.0
    config.data.speed = (0.85, 1.2)
    config.data.noise_source = "starter-noise"
    config.data.normalize_peak = True
    config.data.noise_gain_db = (-20.0, 0.0)
    config.optimizer.learning_rate = 2e-3

    train = config.train
    train.start_from = "runs/quickstart/export"
    train.freeze = ("encoder", "quantizer", "decoder")
    train.steps = 2_400
    train.segment_seconds = 1.0
    train.eval_every = 800
    train.checkpoint_every = 500
    return config
