"""One-shot voice conversion by swapping levels (SpeechTokenizer, arXiv 2308.16692, section 3.4).

With a codec whose first codebook was distilled, the first levels carry what is said and the others how it sounds: those
of one recording and those of another, decoded together, say the first one in the other's voice.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.codec.tokens import Tokens
from codax.errors import CodaxError


def swap_levels(content: Tokens, voice: Tokens, levels: int = 1) -> Tokens:
    """The first levels of one recording with the others of another, which are repeated or cut to its length.

    Args:
      content: tokens of what is said; their length, rate and channels stay.
      voice: tokens of the speaker wanted.
      levels: codebooks of `content` that are kept, from the first one.

    Raises:
      CodaxError: there are no other levels, or the two do not fit each other.
    """
    frames, quantizers = content.codes.shape[1:]
    if not 1 <= levels < quantizers:
        raise CodaxError(f"{levels} of {quantizers} codebooks: at least one must be kept and one be taken")
    if voice.codes.shape[2] < quantizers or not voice.codes.shape[1]:
        raise CodaxError(f"codes of the voice {voice.codes.shape} do not go with those of the content")
    # One voice for all streams of the content.
    rest = voice.codes[:1, np.arange(frames) % voice.codes.shape[1], levels:quantizers]
    rest = np.repeat(rest, len(content.codes), axis=0)
    return dataclasses.replace(content, codes=np.concatenate([content.codes[..., :levels], rest], axis=-1))
