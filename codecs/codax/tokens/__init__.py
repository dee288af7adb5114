"""Tokens for language models: layouts of codes with exact inverses, one vocabulary, padding, and frames of intervals.

Every function works on NumPy and on JAX arrays, also under `jit`; this package does not import JAX.

    from codax import tokens

    vocabulary = tokens.Vocabulary((1024,) * 8)
    ids = tokens.delay(vocabulary.encode(codes), fill=vocabulary.pad)  # [batch, frames, 8] -> [batch, frames + 7, 8]
    codes = vocabulary.decode(tokens.from_delay(ids))
"""

from codax.tokens.alignment import frame_spans
from codax.tokens.dataset import TokenDataset
from codax.tokens.delays import acoustic_delay, delay, from_acoustic_delay, from_delay
from codax.tokens.layouts import LAYOUTS, Layout, layout
from codax.tokens.padding import PAD, Padded, mask_of, pad, unpad
from codax.tokens.sequences import by_level, coarse_fine, flat, from_by_level, from_coarse_fine, from_flat
from codax.tokens.vocabulary import Vocabulary

__all__ = [
    "LAYOUTS",
    "PAD",
    "Layout",
    "Padded",
    "TokenDataset",
    "Vocabulary",
    "acoustic_delay",
    "by_level",
    "coarse_fine",
    "delay",
    "flat",
    "frame_spans",
    "from_acoustic_delay",
    "from_by_level",
    "from_coarse_fine",
    "from_delay",
    "from_flat",
    "layout",
    "mask_of",
    "pad",
    "unpad",
]
