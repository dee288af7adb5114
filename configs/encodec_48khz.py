"""EnCodec 48 kHz: stereo music, not causal, segments of one second, 3 to 24 kbps.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438.

    python train.py --config=configs/encodec_48khz.py --workdir=runs/encodec48 --config.data.source=/data/music

Hardware and time: as for 24 kHz; not trained to the end here.

Differences from configs/encodec_24khz.py, from the paper: adversarial and feature weight 4, half of the steps update
the discriminators, STFT windows twice as long, left and right channel discriminated separately, music alone, so nothing
is mixed and nothing reverberates. Reconstructed as there. To mix anyway, name the sources (docs/training.md):

    --config.data.mixture.sources='("music=/data/music","voices=/data/voices")' --config.data.mixture.reverberation=0.2

In training a segment is divided by its RMS before the encoder, as it is in use.
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe
from codax.interop.encodec import config_48khz


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("encodec_24khz.py"))
    stereo = config_48khz()
    config.name, config.model = stereo.name, stereo.model
    config.quantizer.num_quantizers, config.quantizer.kbps = stereo.quantizer.num_quantizers, stereo.quantizer.kbps

    config.discriminator.msstft_windows = (4096, 2048, 1024, 512, 256)
    config.discriminator.split_channels = True
    config.discriminator.update_probability = 0.5
    config.loss.adversarial = 4.0
    config.loss.feature = 4.0
    config.data.mixture.reverberation = 0.0
    return config
