"""EnCodec 48 kHz: stereo music, non-causal, segments of one second, 3 to 24 kbps.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438.

    python train.py --config=configs/encodec_48khz.py --workdir=runs/encodec48 --config.data.source=/data/music

Hardware and time: as for 24 kHz. Not fully trained here.

Differences from configs/encodec_24khz.py, from the paper: the adversarial and feature weights are 4, half of the steps
update the discriminators, STFT windows are twice as long, the left and right channels are discriminated separately, and
the only data is music, without mixing and reverberation. The same parts are reconstructed. To mix sources, name them
(docs/training.md):

    --config.data.mixture.sources='("music=/data/music","voices=/data/voices")' --config.data.mixture.reverberation=0.2

Segments are divided by their RMS before the encoder, in training as in inference.
"""

from pathlib import Path

from codax.config import Config, EncodecConfig, RecurrentSEANetConfig
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("encodec_24khz.py"))
    config.name = "encodec_48khz"
    config.model = EncodecConfig(
        sample_rate=48_000,
        audio_channels=2,
        channels=32,
        strides=(2, 4, 5, 8),
        dimension=128,
        kernel_size=7,
        dilations=(1,),
        causal=False,
        segment_seconds=1.0,
        segment_overlap=0.01,
        normalize=True,
        seanet=RecurrentSEANetConfig(
            residual_kernel_size=3,
            last_kernel_size=7,
            compress=2,
            shortcut="conv",
            norm="group",
            pad_mode="reflect",
            lstm_layers=2,
        ),
    )
    config.quantizer.num_quantizers = 16
    config.quantizer.kbps = (3.0, 6.0, 12.0, 24.0)

    config.discriminator.msstft_windows = (4096, 2048, 1024, 512, 256)
    config.discriminator.split_channels = True
    config.discriminator.update_probability = 0.5
    config.loss.adversarial = 4.0
    config.loss.feature = 4.0
    config.data.mixture.reverberation = 0.0
    return config
