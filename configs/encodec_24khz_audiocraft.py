"""EnCodec 24 kHz with the defaults of audiocraft, the only official training code.

Code: facebookresearch/audiocraft, solver compression/encodec_base_24khz.

    python train.py --config=configs/encodec_24khz_audiocraft.py --workdir=runs/encodec --config.data.source=/data/audio

Differences from the paper (configs/encodec_24khz.py): zero padding and identity shortcuts; discriminators with five
STFT windows, kernel 3 x 9 and slope 0.3, shared by all rates; a linear generator loss and an absolute feature loss;
weights 4 (adversarial), 4 (feature), 0.1 (waveform) and 2 (spectral); a spectral loss with the L1 of mel powers from
64 Hz and the squared error of their decimal logarithm; no gain, mixing or reverberation. Not fully trained here.
"""

from pathlib import Path

from codax.config import Config, EncodecConfig
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("encodec_24khz.py"))
    config.name = "encodec_24khz_audiocraft"
    net = config.model_of(EncodecConfig).seanet
    net.pad_mode = "zeros"
    net.shortcut = "identity"

    discriminator = config.discriminator
    discriminator.msstft_windows = (1024, 2048, 512, 256, 128)
    discriminator.msstft_kernel = (3, 9)
    discriminator.msstft_slope = 0.3
    discriminator.per_kbps = False

    loss = config.loss
    loss.adversarial = 4.0
    loss.feature = 4.0
    loss.spectral = 2.0
    loss.spectral_form = "audiocraft"
    loss.windows = (64, 128, 256, 512, 1024)
    loss.mel_min_hz = 64.0
    loss.adversarial_form = "linear"
    loss.feature_form = "absolute"
    config.data.normalize_peak = False
    config.data.gain_db = (0.0, 0.0)
    config.data.mixture.reverberation = 0.0
    return config
