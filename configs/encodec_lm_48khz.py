"""EnCodec's language model for the codes of its 48 kHz codec, stereo music.

Paper: Défossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438, section 3.3.

    python train.py --config=configs/encodec_lm_48khz.py --workdir=runs/lm48 --config.lm.codec=MODEL \
        --config.data.source=/data/music

It differs from configs/encodec_lm_24khz.py in the length of sequences: EnCodec codes each segment of one second
independently, so the model learns segments.
"""

from pathlib import Path

from codax.config import Config
from codax.config.recipe_files import load_recipe


def get_config() -> Config:
    config = load_recipe(Path(__file__).with_name("encodec_lm_24khz.py"))
    config.name = "encodec_lm_48khz"
    config.lm.codec = "models/encodec_48khz"
    config.lm.offset_seconds = 0.0
    config.train.segment_seconds = 1.0
    config.train.batch_size = 128
    return config
